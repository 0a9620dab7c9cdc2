#include "kernels/attention.h"

#include <algorithm>
#include <cmath>

#include "base/result.h"

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
    case Isa::kAmx:  // AMX multiplies whole matrices only
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

using StepFunction = void (*)(const AttentionStep&);

StepFunction step_function(const AttentionKernels& kernels, KvType type) {
  switch (type) {
    case KvType::kF32:
      return kernels.step_f32;
    case KvType::kBF16:
      return kernels.step_bf16;
    case KvType::kInt8:
      break;
  }
  return kernels.step_int8;
}

}  // namespace

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
  float* queries;   // [head_dim][num_queries], scaled
  float* sums;      // [num_queries][head_dim]
  float* max;       // [num_queries]
  float* total;     // [num_queries]
  float* scales;    // [num_queries], with int8: CodedQueries
  uint32_t* words;  // [2][head_dim / 4][num_queries]
  int32_t* starts;  // [num_queries]

  static constexpr size_t kApart = 16;  // a cache line between threads
  static size_t num_floats(int64_t num_queries, int head_dim) {
    return static_cast<size_t>(num_queries) * (2 * static_cast<size_t>(head_dim) + 3) + kApart;
  }
  static size_t num_ints(int64_t num_queries, int head_dim) {
    return static_cast<size_t>(num_queries) * (static_cast<size_t>(head_dim) / 2 + 1) + kApart;
  }
  Scratch(float* floats, int32_t* ints, int64_t num_queries, int head_dim)
      : queries(floats),
        sums(queries + num_queries * head_dim),
        max(sums + num_queries * head_dim),
        total(max + num_queries),
        scales(total + num_queries),
        words(reinterpret_cast<uint32_t*>(ints)),
        starts(ints + num_queries * head_dim / 2) {}
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
      const int32_t block = tile.sequence->block_table[static_cast<size_t>(position / kBlockTokens)];
      store_kv(
          {k + offset, v + offset, stride, static_cast<int>(position % kBlockTokens), static_cast<int>(tile.num_rows)},
          kv, block, tile.kv_head);
    }
  });
}

void Attention::run(const float* q, int num_heads, std::span<const AttentionSequence> sequences, const KvLayerView& kv,
                    float* out) {
  RETORT_CHECK(kv.head_dim % 8 == 0 && kv.head_dim <= kMaxHeadDim && num_heads % kv.num_kv_heads == 0);
  const int group = num_heads / kv.num_kv_heads;
  const Call call{q,
                  out,
                  kv,
                  group,
                  static_cast<int64_t>(num_heads) * kv.head_dim,
                  1.0f / std::sqrt(static_cast<float>(kv.head_dim))};
  const int64_t rows_per_tile = std::max<int64_t>(1, kTileQueries / group);
  cut_into_tiles(sequences, kv.num_kv_heads, rows_per_tile);
  const size_t num_floats = Scratch::num_floats(rows_per_tile * group, kv.head_dim),
               num_ints = Scratch::num_ints(rows_per_tile * group, kv.head_dim);
  const auto num_threads = static_cast<size_t>(pool_->num_threads());
  floats_.resize(std::max(floats_.size(), num_floats * num_threads));
  ints_.resize(std::max(ints_.size(), num_ints * num_threads));
  pool_->parallel_for(tiles_.size(), 1, [&](size_t begin, size_t end, int thread_idx) {
    const auto thread = static_cast<size_t>(thread_idx);
    for (size_t i = begin; i < end; ++i)
      attend(call, tiles_[i],
             Scratch(floats_.data() + num_floats * thread, ints_.data() + num_ints * thread, tiles_[i].num_rows * group,
                     kv.head_dim));
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
    if (call.kv.type == KvType::kInt8)
      code_query(call, tile, query, i, scratch);
    else
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

// Query i as 16-bit integers, times the scales that keys were divided by.
void Attention::code_query(const Call& call, const Tile& tile, const float* query, int64_t i,
                           const Scratch& scratch) const {
  const int head_dim = call.kv.head_dim;
  const auto num_queries = static_cast<int>(tile.num_rows * call.group);
  const float* key_scales = call.kv.key_scales == nullptr ? nullptr : call.kv.key_scales + tile.kv_head * head_dim;
  float scaled[kMaxHeadDim];
  float largest = 0;
  for (int d = 0; d < head_dim; ++d) {
    scaled[d] = query[d] * call.scale * (key_scales == nullptr ? 1.0f : key_scales[d]);
    largest = std::max(largest, std::abs(scaled[d]));
  }
  const float inverse = largest > 1e-30f ? kMaxCoded / largest : 0.0f;
  int16_t x[kMaxHeadDim];
  int32_t sum = 0;
  for (int d = 0; d < head_dim; ++d) sum += x[d] = static_cast<int16_t>(std::lrint(scaled[d] * inverse));
  kernels_->code(x, head_dim / 4, num_queries, head_dim / 4 * num_queries, scratch.words + i);
  scratch.scales[i] = largest / kMaxCoded;
  scratch.starts[i] = -128 * sum;
}

void Attention::visit_block(const Call& call, const Tile& tile, int64_t block_idx, int64_t num_blocks,
                            const Scratch& scratch) const {
  const auto& table = tile.sequence->block_table;
  const int head_dim = call.kv.head_dim;
  const std::byte* keys = kv_head_of_block(call.kv, table[static_cast<size_t>(block_idx)], tile.kv_head);
  AttentionStep step{};
  step.keys = keys;
  step.values = keys + kv_values_offset(call.kv.type, head_dim);
  if (block_idx + 1 < num_blocks)
    step.next = kv_head_of_block(call.kv, table[static_cast<size_t>(block_idx) + 1], tile.kv_head);
  step.head_dim = head_dim;
  step.query_stride = static_cast<int>(tile.num_rows * call.group);
  const StepFunction run_step = step_function(*kernels_, call.kv.type);

  const auto visit = [&](int64_t first_row, int64_t end_row, int64_t num_visible) {
    step.num_visible = static_cast<int>(num_visible);
    const int64_t end = end_row * call.group;
    for (int64_t i = first_row * call.group; i < end; i += step.num_queries) {
      step.num_queries = static_cast<int>(std::min<int64_t>(kernels_->max_queries, end - i));
      step.queries = scratch.queries + i;
      step.coded = {scratch.words + i, scratch.scales + i, scratch.starts + i, head_dim / 4 * step.query_stride};
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
