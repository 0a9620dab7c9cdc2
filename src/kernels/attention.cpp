#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/result.h"
#include "kernels/magnitude.h"

namespace retort {
namespace {

constexpr int64_t kSpanBlocks = kSpanTokens / kBlockTokens;

// Query vectors (rows × heads of a KV head) of a tile: enough that a block of keys and values, once in L1, is used many
// times, and so few that queries and sums stay in L2.
constexpr int64_t kTileQueries = 48;

constexpr size_t kApart = 16;  // floats: a cache line between threads

AttentionKernels with_spans(AttentionKernels kernels, void (*attend_to_span)(const AttentionSpan&)) {
  kernels.attend_to_span = attend_to_span;
  return kernels;
}

AttentionKernels attention_kernels(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return scalar::kAttention;
#if defined(__x86_64__)
    case Isa::kAvx2:
    case Isa::kAvxVnni:  // multiplies whole matrices only
      return avx2::kAttention;
    case Isa::kAvx512Vnni:
    case Isa::kAmx:  // multiplies whole matrices only
      return avx512::kAttention;
    case Isa::kAvx512Bf16:
      return with_spans(avx512::kAttention, avx512bf16::attend_to_span);
#elif defined(__aarch64__)
    case Isa::kNeonDotprod:
    case Isa::kNeonI8mm:  // multiplies whole matrices only
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
  bool by_whole_spans;  // AttentionSpan, not AttentionStep

  int64_t num_queries(const Tile& tile) const { return tile.num_rows * group; }
  // In q and out, of the query vector i of a tile: head i % group of row i / group.
  int64_t offset(const Tile& tile, int64_t i) const {
    return (tile.sequence->first_row + tile.first_row + i / group) * row_stride +
           (tile.kv_head * group + i % group) * kv.head_dim;
  }
};

namespace {

size_t num_state_floats(int64_t num_queries, int head_dim) {
  return static_cast<size_t>(num_queries) * (static_cast<size_t>(head_dim) + 2) + kApart;
}

AttentionState state_in(float* floats, int64_t num_queries, int head_dim) {
  return {floats + num_queries * head_dim, floats + num_queries * head_dim + num_queries, floats};
}

}  // namespace

// What a thread keeps of its piece.
struct Attention::Scratch {
  float* queries;   // [head_dim][num_queries], scaled
  float* scales;    // [num_queries], with int8: CodedQueries
  uint32_t* words;  // [2][head_dim / 4][num_queries]
  int32_t* starts;  // [num_queries]
  AttentionState state, of_span;

  static size_t num_floats(int64_t num_queries, int head_dim) {
    return static_cast<size_t>(num_queries) * (static_cast<size_t>(head_dim) + 1) +
           2 * num_state_floats(num_queries, head_dim);
  }
  static size_t num_ints(int64_t num_queries, int head_dim) {
    return static_cast<size_t>(num_queries) * (static_cast<size_t>(head_dim) / 2 + 1) + kApart;
  }
  Scratch(float* floats, int32_t* ints, int64_t num_queries, int head_dim)
      : queries(floats),
        scales(queries + num_queries * head_dim),
        words(reinterpret_cast<uint32_t*>(ints)),
        starts(ints + num_queries * head_dim / 2),
        state(state_in(scales + num_queries, num_queries, head_dim)),
        of_span(state_in(scales + num_queries + num_state_floats(num_queries, head_dim), num_queries, head_dim)) {}
};

int64_t Attention::Tile::first_row_in_span(int64_t span) const {
  return std::max<int64_t>(0, span * kSpanTokens - first_position());
}

Attention::Attention(Isa isa, ThreadPool& pool) : kernels_(attention_kernels(isa)), pool_(&pool) {}

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
      const int64_t position = tile.first_position();
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
                  1.0f / std::sqrt(static_cast<float>(kv.head_dim)),
                  kv.type == KvType::kBF16 && kernels_.attend_to_span != nullptr};
  const int64_t rows_per_tile = std::max<int64_t>(1, kTileQueries / group);
  cut_into_tiles(sequences, kv.num_kv_heads, rows_per_tile);
  cut_into_pieces(call);
  const size_t num_floats = Scratch::num_floats(rows_per_tile * group, kv.head_dim),
               num_ints = Scratch::num_ints(rows_per_tile * group, kv.head_dim);
  const auto num_threads = static_cast<size_t>(pool_->num_threads());
  floats_.resize(std::max(floats_.size(), num_floats * num_threads));
  ints_.resize(std::max(ints_.size(), num_ints * num_threads));
  tiles_read_.assign(num_threads, tiles_.size());
  pool_->parallel_for(pieces_.size(), 1, [&](size_t begin, size_t end, int thread_idx) {
    const auto thread = static_cast<size_t>(thread_idx);
    for (size_t i = begin; i < end; ++i)
      attend(call, pieces_[i],
             Scratch(floats_.data() + num_floats * thread, ints_.data() + num_ints * thread,
                     call.num_queries(tiles_[pieces_[i].tile]), kv.head_dim),
             tiles_read_[thread]);
  });
  if (pieces_.size() == tiles_.size()) return;
  pool_->parallel_for(tiles_.size(), 1, [&](size_t begin, size_t end, int) {
    for (size_t i = begin; i < end; ++i)
      if (tiles_[i].states >= 0) join_spans(call, tiles_[i]);
  });
}

// A tile with more than half of a thread's share of the work is split into its spans. Fewer than twice as many as there
// are threads can have that, so the memory of their states is bounded. It changes no result: what is not split is
// summed up by spans too.
void Attention::cut_into_pieces(const Call& call) {
  const int64_t num_threads = pool_->num_threads();
  int64_t total = 0;
  for (const Tile& tile : tiles_) total += tile.num_spans();
  size_t num_floats = 0;
  pieces_.clear();
  for (size_t i = 0; i < tiles_.size(); ++i) {
    const int64_t num_spans = tiles_[i].num_spans();
    if (num_threads == 1 || num_spans == 1 || 2 * num_threads * num_spans <= total) {
      pieces_.push_back({i});
      continue;
    }
    tiles_[i].states = static_cast<int64_t>(num_floats);
    num_floats += static_cast<size_t>(num_spans) * num_state_floats(call.num_queries(tiles_[i]), call.kv.head_dim);
    for (int64_t span = 0; span < num_spans; ++span) pieces_.push_back({i, span});
  }
  states_.resize(std::max(states_.size(), num_floats));
}

// Spans of one tile share what was read of its queries, where a thread has one after another.
void Attention::attend(const Call& call, const Piece& piece, const Scratch& scratch, size_t& tile_read) {
  const Tile& tile = tiles_[piece.tile];
  if (!call.by_whole_spans && std::exchange(tile_read, piece.tile) != piece.tile) read_queries(call, tile, scratch);
  if (piece.span >= 0) return visit_span(call, tile, piece.span, scratch, state_of_span(call, tile, piece.span));
  visit_span(call, tile, 0, scratch, scratch.state);
  for (int64_t span = 1; span < tile.num_spans(); ++span) {
    visit_span(call, tile, span, scratch, scratch.of_span);
    join_span(call, tile, span, scratch.state, scratch.of_span);
  }
  write(call, tile, scratch.state);
}

// Of a tile that is split.
AttentionState Attention::state_of_span(const Call& call, const Tile& tile, int64_t span) {
  const int64_t num_queries = call.num_queries(tile);
  const size_t offset = static_cast<size_t>(span) * num_state_floats(num_queries, call.kv.head_dim);
  return state_in(states_.data() + tile.states + offset, num_queries, call.kv.head_dim);
}

void Attention::join_spans(const Call& call, const Tile& tile) {
  const AttentionState state = state_of_span(call, tile, 0);
  for (int64_t span = 1; span < tile.num_spans(); ++span)
    join_span(call, tile, span, state, state_of_span(call, tile, span));
  write(call, tile, state);
}

// Rows that see nothing of the span keep what they have, to the sign of a zero.
void Attention::join_span(const Call& call, const Tile& tile, int64_t span, const AttentionState& state,
                          const AttentionState& of_span) const {
  const int head_dim = call.kv.head_dim;
  const int64_t first = tile.first_row_in_span(span) * call.group;
  const auto from_first = [&](const AttentionState& s) {
    return AttentionState{s.max + first, s.sum + first, s.out + first * head_dim};
  };
  kernels_.join(from_first(state), from_first(of_span), call.num_queries(tile) - first, head_dim);
}

void Attention::write(const Call& call, const Tile& tile, const AttentionState& state) const {
  const int head_dim = call.kv.head_dim;
  for (int64_t i = 0; i < call.num_queries(tile); ++i) {
    float* out = call.out + call.offset(tile, i);
    const float normalizer = 1.0f / state.sum[i];
    for (int d = 0; d < head_dim; ++d) out[d] = state.out[i * head_dim + d] * normalizer;
  }
}

void Attention::read_queries(const Call& call, const Tile& tile, const Scratch& scratch) const {
  const int64_t num_queries = call.num_queries(tile);
  for (int64_t i = 0; i < num_queries; ++i) {
    const float* query = call.q + call.offset(tile, i);
    if (call.kv.type == KvType::kInt8)
      code_query(call, tile, query, i, scratch);
    else
      for (int d = 0; d < call.kv.head_dim; ++d) scratch.queries[d * num_queries + i] = query[d] * call.scale;
  }
}

// Query i as 16-bit integers, times the scales that keys were divided by.
void Attention::code_query(const Call& call, const Tile& tile, const float* query, int64_t i,
                           const Scratch& scratch) const {
  const int head_dim = call.kv.head_dim;
  const auto num_queries = static_cast<int>(call.num_queries(tile));
  const float* key_scales = call.kv.key_scales == nullptr ? nullptr : call.kv.key_scales + tile.kv_head * head_dim;
  float scaled[kMaxHeadDim];
  for (int d = 0; d < head_dim; ++d) scaled[d] = query[d] * call.scale * (key_scales == nullptr ? 1.0f : key_scales[d]);
  const float largest = largest_magnitude(scaled, head_dim);
  const float inverse = largest > 1e-30f ? kMaxCoded / largest : 0.0f;
  int16_t x[kMaxHeadDim];
  int32_t sum = 0;
  for (int d = 0; d < head_dim; ++d) sum += x[d] = static_cast<int16_t>(std::lrint(scaled[d] * inverse));
  kernels_.code(x, head_dim / 4, num_queries, head_dim / 4 * num_queries, scratch.words + i);
  scratch.scales[i] = largest / kMaxCoded;
  scratch.starts[i] = -128 * sum;
}

// All that the tile's queries see of one span, from nothing.
void Attention::visit_span(const Call& call, const Tile& tile, int64_t span, const Scratch& scratch,
                           const AttentionState& state) const {
  if (call.by_whole_spans) return visit_whole_span(call, tile, span, state);
  const int64_t num_queries = call.num_queries(tile);
  std::fill_n(state.out, num_queries * call.kv.head_dim, 0.0f);
  std::fill_n(state.max, num_queries, -INFINITY);
  std::fill_n(state.sum, num_queries, 0.0f);
  const int64_t end = std::min((span + 1) * kSpanBlocks, tile.num_blocks());
  RETORT_CHECK(static_cast<size_t>(end) <= tile.sequence->block_table.size());
  for (int64_t block_idx = span * kSpanBlocks; block_idx < end; ++block_idx)
    visit_block(call, tile, block_idx, scratch, state);
}

// Rows that see nothing of the span are left out, as they are when it is joined.
void Attention::visit_whole_span(const Call& call, const Tile& tile, int64_t span, const AttentionState& state) const {
  const auto& table = tile.sequence->block_table;
  RETORT_CHECK(static_cast<size_t>(tile.num_blocks()) <= table.size());
  const std::byte* blocks[2 * kSpanBlocks] = {};  // of this span and the next
  const int64_t first_block = span * kSpanBlocks;
  const int64_t num_blocks = std::min(2 * kSpanBlocks, tile.num_blocks() - first_block);
  for (int64_t i = 0; i < num_blocks; ++i)
    blocks[i] = kv_head_of_block(call.kv, table[static_cast<size_t>(first_block + i)], tile.kv_head);

  const int64_t first_row = tile.first_row_in_span(span), first = first_row * call.group;
  AttentionSpan part{};
  part.blocks = blocks;
  part.next_blocks = blocks + kSpanBlocks;
  part.num_next_blocks = static_cast<int>(std::max<int64_t>(0, num_blocks - kSpanBlocks));
  part.head_dim = call.kv.head_dim;
  part.num_visible =
      static_cast<int>(std::min<int64_t>(kSpanTokens, tile.first_position() + first_row - span * kSpanTokens + 1));
  part.queries_per_row = call.group;
  part.num_queries = static_cast<int>(call.num_queries(tile) - first);
  part.queries = call.q + call.offset(tile, first);
  part.row_stride = call.row_stride;
  part.scale = call.scale;
  part.state = {state.max + first, state.sum + first, state.out + first * call.kv.head_dim};
  kernels_.attend_to_span(part);
}

void Attention::visit_block(const Call& call, const Tile& tile, int64_t block_idx, const Scratch& scratch,
                            const AttentionState& state) const {
  const auto& table = tile.sequence->block_table;
  const int head_dim = call.kv.head_dim;
  const std::byte* keys = kv_head_of_block(call.kv, table[static_cast<size_t>(block_idx)], tile.kv_head);
  AttentionStep step{};
  step.keys = keys;
  step.values = keys + kv_values_offset(call.kv.type, head_dim);
  if (block_idx + 1 < tile.num_blocks())
    step.next = kv_head_of_block(call.kv, table[static_cast<size_t>(block_idx) + 1], tile.kv_head);
  step.head_dim = head_dim;
  step.query_stride = static_cast<int>(call.num_queries(tile));
  const StepFunction run_step = step_function(kernels_, call.kv.type);

  const auto visit = [&](int64_t first_row, int64_t end_row, int64_t num_visible) {
    step.num_visible = static_cast<int>(num_visible);
    const int64_t end = end_row * call.group;
    for (int64_t i = first_row * call.group; i < end; i += step.num_queries) {
      step.num_queries = static_cast<int>(std::min<int64_t>(kernels_.max_queries, end - i));
      step.queries = scratch.queries + i;
      step.coded = {scratch.words + i, scratch.scales + i, scratch.starts + i, head_dim / 4 * step.query_stride};
      step.max = state.max + i;
      step.sum = state.sum + i;
      step.out = state.out + i * head_dim;
      run_step(step);
      step.next = nullptr;
    }
  };
  // Rows that see the whole block go together. Those before them end inside it, each at its own token, and none that
  // lies before the block sees it.
  const int64_t first_position = tile.first_position();
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
