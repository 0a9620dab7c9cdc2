// Attention over a paged KV store: online softmax (FlashAttention, arXiv 2205.14135) over blocks of 32 tokens in
// sequence order. A query row's arithmetic depends on its own position and its sequence's keys only, never on the rows
// beside it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/cpu.h"
#include "base/thread_pool.h"

namespace retort {

inline constexpr int kBlockTokens = 32;  // tokens in a KV block

enum class KvType : uint8_t { kF32, kBF16 };

// One layer's view of the KV store. A block holds, for each KV head, keys transposed and then values.
struct KvLayerView {
  std::byte* base;      // block 0
  size_t block_stride;  // bytes from block to block
  KvType type;
  int num_kv_heads;
  int head_dim;  // multiple of 8
};
// Bytes of one layer's keys and values in one block.
size_t kv_block_bytes(KvType type, int num_kv_heads, int head_dim);

struct AttentionSequence {
  int64_t first_row;  // of its query rows in q and out
  int64_t num_rows;
  int64_t first_position;                // position of the first query row; row r sees positions 0 … first_position + r
  std::span<const int32_t> block_table;  // block of positions 32 i … 32 i + 31, at least as many as needed
};

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
  Isa isa_;
  ThreadPool* pool_;
};

}  // namespace retort
