// Sequences of random queries, keys and values, and steps of attention over them, for tests of what stores and attends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/attention.h"

namespace retort {

struct Shape {
  int num_kv_heads, group, head_dim;
  int num_heads() const { return num_kv_heads * group; }
  size_t q_stride() const { return static_cast<size_t>(num_heads() * head_dim); }
  size_t kv_stride() const { return static_cast<size_t>(num_kv_heads * head_dim); }
};

// All queries, keys and values of one sequence.
struct RandomSequence {
  Shape shape;
  int64_t length;
  std::vector<float> q, k, v;

  RandomSequence(const Shape& shape_in, int64_t length_in, uint32_t seed);
};

// A KV layer whose unwritten bytes are NaN, with blocks handed out in a scattered order.
class Store {
 public:
  Store(KvType type, const Shape& shape, int num_blocks);
  std::vector<int32_t> take(int64_t num_tokens);
  KvLayerView view;

 private:
  std::vector<std::byte> bytes_;
  std::vector<int32_t> free_;
};

// One step of a mixed batch: for each sequence the rows [begin, end).
struct Part {
  const RandomSequence* sequence;
  const std::vector<int32_t>* table;
  int64_t begin, end;
};

std::vector<float> run_step(Attention& attention, const std::vector<Part>& parts, const KvLayerView& kv);
// The sequence alone, in chunks of these sizes (the last repeats).
std::vector<float> run_chunked(Attention& attention, const RandomSequence& sequence, KvType type,
                               const std::vector<int64_t>& chunks);
// Keys and values of a sequence's first tokens, as if their rows had been run.
void store_before(Attention& attention, const RandomSequence& sequence, const std::vector<int32_t>& table,
                  int64_t num_tokens, const KvLayerView& kv);
// The rows from `begin` on, in one step.
std::vector<float> run_from(Attention& attention, const RandomSequence& sequence, KvType type, int64_t begin);

}  // namespace retort
