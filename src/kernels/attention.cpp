#include "kernels/attention.h"

#include <algorithm>
#include <cmath>

#include "base/result.h"
#include "formats/codecs.h"

namespace retort {
namespace {

// Query vectors (rows × heads of a KV head) of a tile: enough that a block of keys and values, once in L1, is used many
// times, and so few that queries and sums stay in L2.
constexpr int64_t kTileQueries = 48;

const AttentionKernels& attention_kernels(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return scalar::kAttention;
#if defined(__x86_64__)
    case Isa::kAvx2:
      return avx2::kAttention;
    case Isa::kAvx512Vnni:
      return avx512::kAttention;
#elif defined(__aarch64__)
    case Isa::kNeonDotprod:
      return neon::kAttention;
#endif
    default:
      break;
  }
  RETORT_CHECK(!"kernels for this machine's architecture");
  return scalar::kAttention;
}

size_t element_bytes(KvType type) { return type == KvType::kF32 ? 4 : 2; }

// Keys and values of one KV head in one block.
size_t head_bytes(const KvLayerView& kv) { return kv_block_bytes(kv.type, 1, kv.head_dim); }

std::byte* head_of_block(const KvLayerView& kv, int32_t block, int kv_head) {
  return kv.base + static_cast<size_t>(block) * kv.block_stride + static_cast<size_t>(kv_head) * head_bytes(kv);
}

// New tokens of one block: tokens [token, token + num_tokens) of the block, from rows of `stride` floats.
struct StoreRows {
  const float* keys;
  const float* values;
  int64_t stride;
  int token, num_tokens;
};

void store_f32(const StoreRows& rows, int head_dim, std::byte* block) {
  float* keys = reinterpret_cast<float*>(block);
  float* values = keys + head_dim * kBlockTokens;
  for (int d = 0; d < head_dim; ++d)
    for (int i = 0; i < rows.num_tokens; ++i) keys[d * kBlockTokens + rows.token + i] = rows.keys[i * rows.stride + d];
  for (int i = 0; i < rows.num_tokens; ++i)
    std::copy_n(rows.values + i * rows.stride, head_dim, values + (rows.token + i) * head_dim);
}

void store_bf16(const StoreRows& rows, int head_dim, std::byte* block) {
  uint16_t* keys = reinterpret_cast<uint16_t*>(block);
  uint16_t* values = keys + head_dim * kBlockTokens;
  for (int d = 0; d < head_dim; ++d)
    for (int i = 0; i < rows.num_tokens; ++i)
      keys[(d / 2 * kBlockTokens + rows.token + i) * 2 + d % 2] = f32_to_bf16(rows.keys[i * rows.stride + d]);
  for (int i = 0; i < rows.num_tokens; ++i) {
    const int token = rows.token + i;
    uint16_t* pair = values + token / 2 * 2 * head_dim + token % 2;
    for (int d = 0; d < head_dim; ++d) pair[2 * d] = f32_to_bf16(rows.values[i * rows.stride + d]);
  }
}

}  // namespace

size_t kv_block_bytes(KvType type, int num_kv_heads, int head_dim) {
  return 2 * element_bytes(type) * static_cast<size_t>(num_kv_heads) * static_cast<size_t>(head_dim) * kBlockTokens;
}

struct Attention::Call {
  const float* q;
  float* out;
  const KvLayerView& kv;
  int group;           // query heads of a KV head
  int64_t row_stride;  // floats between rows of q and out
  float scale;
};

// A tile's state. Query i of it is head i % group of row i / group.
struct Attention::Scratch {
  float* queries;  // [head_dim][num_queries], scaled
  float* sums;     // [num_queries][head_dim]
  float* max;      // [num_queries]
  float* total;    // [num_queries]

  static size_t floats(int64_t num_queries, int head_dim) {
    return static_cast<size_t>(num_queries) * (2 * static_cast<size_t>(head_dim) + 2) +
           16;  // a cache line between threads
  }
  Scratch(float* base, int64_t num_queries, int head_dim)
      : queries(base),
        sums(queries + num_queries * head_dim),
        max(sums + num_queries * head_dim),
        total(max + num_queries) {}
};

Attention::Attention(Isa isa, ThreadPool& pool) : kernels_(&attention_kernels(isa)), pool_(&pool) {}

void Attention::cut_into_tiles(std::span<const AttentionSequence> sequences, int num_kv_heads, int64_t rows_per_tile) {
  tiles_.clear();
  for (const AttentionSequence& sequence : sequences)
    for (int64_t row = 0; row < sequence.num_rows; row += rows_per_tile)
      for (int head = 0; head < num_kv_heads; ++head)
        tiles_.push_back({&sequence, head, row, std::min(rows_per_tile, sequence.num_rows - row)});
}

void Attention::store(const float* k, const float* v, std::span<const AttentionSequence> sequences,
                      const KvLayerView& kv) {
  const int64_t stride = static_cast<int64_t>(kv.num_kv_heads) * kv.head_dim;
  tiles_.clear();
  for (const AttentionSequence& sequence : sequences)
    for (int64_t row = 0; row < sequence.num_rows;) {
      const int64_t left_in_block = kBlockTokens - (sequence.first_position + row) % kBlockTokens;
      const int64_t rows = std::min(left_in_block, sequence.num_rows - row);
      for (int head = 0; head < kv.num_kv_heads; ++head) tiles_.push_back({&sequence, head, row, rows});
      row += rows;
    }
  pool_->parallel_for(tiles_.size(), 4, [&](size_t begin, size_t end, int) {
    for (size_t i = begin; i < end; ++i) {
      const Tile& tile = tiles_[i];
      const int64_t position = tile.sequence->first_position + tile.first_row;
      const int64_t offset = (tile.sequence->first_row + tile.first_row) * stride + tile.kv_head * kv.head_dim;
      const StoreRows rows{k + offset, v + offset, stride, static_cast<int>(position % kBlockTokens),
                           static_cast<int>(tile.num_rows)};
      const int32_t block = tile.sequence->block_table[static_cast<size_t>(position / kBlockTokens)];
      std::byte* target = head_of_block(kv, block, tile.kv_head);
      if (kv.type == KvType::kF32)
        store_f32(rows, kv.head_dim, target);
      else
        store_bf16(rows, kv.head_dim, target);
    }
  });
}

void Attention::run(const float* q, int num_heads, std::span<const AttentionSequence> sequences, const KvLayerView& kv,
                    float* out) {
  RETORT_CHECK(kv.head_dim % 8 == 0 && num_heads % kv.num_kv_heads == 0);
  const int group = num_heads / kv.num_kv_heads;
  const Call call{q,
                  out,
                  kv,
                  group,
                  static_cast<int64_t>(num_heads) * kv.head_dim,
                  1.0f / std::sqrt(static_cast<float>(kv.head_dim))};
  const int64_t rows_per_tile = std::max<int64_t>(1, kTileQueries / group);
  cut_into_tiles(sequences, kv.num_kv_heads, rows_per_tile);
  const size_t thread_floats = Scratch::floats(rows_per_tile * group, kv.head_dim);
  scratch_.resize(std::max(scratch_.size(), thread_floats * static_cast<size_t>(pool_->num_threads())));
  pool_->parallel_for(tiles_.size(), 1, [&](size_t begin, size_t end, int thread_idx) {
    float* base = scratch_.data() + thread_floats * static_cast<size_t>(thread_idx);
    for (size_t i = begin; i < end; ++i)
      attend(call, tiles_[i], Scratch(base, tiles_[i].num_rows * group, kv.head_dim));
  });
}

void Attention::attend(const Call& call, const Tile& tile, Scratch scratch) const {
  const int head_dim = call.kv.head_dim;
  const int64_t num_queries = tile.num_rows * call.group;
  const int64_t first =
      (tile.sequence->first_row + tile.first_row) * call.row_stride + tile.kv_head * call.group * head_dim;
  const auto offset_of = [&](int64_t query) {
    return first + query / call.group * call.row_stride + query % call.group * head_dim;
  };

  for (int64_t i = 0; i < num_queries; ++i) {
    const float* query = call.q + offset_of(i);
    for (int d = 0; d < head_dim; ++d) scratch.queries[d * num_queries + i] = query[d] * call.scale;
  }
  std::fill_n(scratch.sums, num_queries * head_dim, 0.0f);
  std::fill_n(scratch.max, num_queries, -INFINITY);
  std::fill_n(scratch.total, num_queries, 0.0f);

  const int64_t last_position = tile.sequence->first_position + tile.first_row + tile.num_rows - 1;
  const int64_t num_blocks = last_position / kBlockTokens + 1;
  RETORT_CHECK(static_cast<size_t>(num_blocks) <= tile.sequence->block_table.size());
  for (int64_t block_idx = 0; block_idx < num_blocks; ++block_idx)
    visit_block(call, tile, block_idx, num_blocks, scratch);

  for (int64_t i = 0; i < num_queries; ++i) {
    float* out = call.out + offset_of(i);
    const float normalizer = 1.0f / scratch.total[i];
    for (int d = 0; d < head_dim; ++d) out[d] = scratch.sums[i * head_dim + d] * normalizer;
  }
}

void Attention::visit_block(const Call& call, const Tile& tile, int64_t block_idx, int64_t num_blocks,
                            const Scratch& scratch) const {
  const auto& table = tile.sequence->block_table;
  const int head_dim = call.kv.head_dim;
  const std::byte* keys = head_of_block(call.kv, table[static_cast<size_t>(block_idx)], tile.kv_head);
  AttentionStep step{};
  step.keys = keys;
  step.values = keys + head_bytes(call.kv) / 2;
  if (block_idx + 1 < num_blocks)
    step.next = head_of_block(call.kv, table[static_cast<size_t>(block_idx) + 1], tile.kv_head);
  step.head_dim = head_dim;
  step.query_stride = static_cast<int>(tile.num_rows * call.group);
  const auto run_step = call.kv.type == KvType::kF32 ? kernels_->step_f32 : kernels_->step_bf16;

  const auto visit = [&](int64_t first_row, int64_t end_row, int64_t num_visible) {
    step.num_visible = static_cast<int>(num_visible);
    const int64_t end = end_row * call.group;
    for (int64_t i = first_row * call.group; i < end; i += step.num_queries) {
      step.num_queries = static_cast<int>(std::min<int64_t>(kernels_->max_queries, end - i));
      step.queries = scratch.queries + i;
      step.max = scratch.max + i;
      step.sum = scratch.total + i;
      step.out = scratch.sums + i * head_dim;
      run_step(step);
      step.next = nullptr;
    }
  };
  // Rows that see the whole block go together. Those before them end inside it, each at its own token, and none that
  // lies before the block sees it.
  const int64_t first_position = tile.sequence->first_position + tile.first_row;
  const int64_t block_position = block_idx * kBlockTokens;
  const auto row_at = [&](int64_t position) {
    return std::clamp<int64_t>(position - first_position, 0, tile.num_rows);
  };
  const int64_t first_whole = row_at(block_position + kBlockTokens - 1);
  for (int64_t row = row_at(block_position); row < first_whole; ++row)
    visit(row, row + 1, first_position + row - block_position + 1);
  visit(first_whole, tile.num_rows, kBlockTokens);
}

}  // namespace retort
