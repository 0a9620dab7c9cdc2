// Attention over a paged KV store: online softmax (FlashAttention, arXiv 2205.14135) over blocks of 32 tokens in
// sequence order. A query row's arithmetic depends on its own position and its sequence's keys only, never on the rows
// beside it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/cpu.h"
#include "base/thread_pool.h"
#include "kernels/attention_kernels.h"
#include "kernels/kv_block.h"

namespace retort {

struct AttentionSequence {
  int64_t first_row;  // of its query rows in q and out
  int64_t num_rows;
  int64_t first_position;                // position of the first query row; row r sees positions 0 … first_position + r
  std::span<const int32_t> block_table;  // block of positions 32 i … 32 i + 31, at least as many as needed
};

inline constexpr int kMaxHeadDim = 512;  // integer sums of an int8 score stay within 32 bits

class Attention {
 public:
  Attention(Isa isa, ThreadPool& pool);

  // Writes the rows' new keys and values to their blocks. k, v: [num_rows, num_kv_heads * head_dim]
  void store(const float* k, const float* v, std::span<const AttentionSequence> sequences, const KvLayerView& kv);
  // q, out: [num_rows, num_heads * head_dim]. Scores are scaled by 1/sqrt(head_dim). Keys of these rows must be stored
  // already.
  void run(const float* q, int num_heads, std::span<const AttentionSequence> sequences, const KvLayerView& kv,
           float* out);

 private:
  // Some rows of one sequence for the query heads of one KV head: what one thread does at a time.
  struct Tile {
    const AttentionSequence* sequence;
    int kv_head;
    int64_t first_row, num_rows;  // within the sequence
  };
  struct Call;
  struct Scratch;

  void cut_into_tiles(std::span<const AttentionSequence> sequences, int num_kv_heads, int64_t rows_per_tile);
  void attend(const Call& call, const Tile& tile, Scratch scratch) const;
  void code_query(const Call& call, const Tile& tile, const float* query, int64_t i, const Scratch& scratch) const;
  void visit_block(const Call& call, const Tile& tile, int64_t block_idx, int64_t num_blocks,
                   const Scratch& scratch) const;

  const AttentionKernels* kernels_;
  ThreadPool* pool_;
  std::vector<Tile> tiles_;
  std::vector<float> floats_;  // of Scratch, one piece a thread
  std::vector<int32_t> ints_;
};

}  // namespace retort
