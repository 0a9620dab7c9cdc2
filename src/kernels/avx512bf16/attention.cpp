// Attention to bf16 keys and values by vdpbf16ps, all of a span at once: scores of every token, a plain softmax over
// them, and weighted values summed in registers from the first token to the last. Queries and weights are rounded to
// bf16; the sum of weights is that of the rounded ones, so what comes out is still a mean of the values.
#include <immintrin.h>
#include <math.h>

#include "kernels/attention_kernels.h"
#include "kernels/kv_block.h"

namespace retort::avx512bf16 {
namespace {

// 12 × 2 sums, two vectors of keys or values, one broadcast pair: 27 of 32 registers.
constexpr int kMaxQueries = 12, kKeyVectors = 2;
constexpr int kWidth = 16, kBlockPairs = kBlockTokens / 2;
static_assert(kKeyVectors * kWidth == kBlockTokens);

// What is kept of up to kMaxQueries queries.
struct Work {
  int num_visible[kMaxQueries];
  alignas(64) uint32_t queries[kMaxQueries][kMaxHeadDim / 2];  // pairs of bf16
  alignas(64) float scores[kMaxQueries][kSpanTokens];
  alignas(64) uint32_t weights[kMaxQueries][kSpanTokens / 2];  // e^(score - max), pairs of bf16
};

__m512bh load(const std::byte* p) { return (__m512bh)_mm512_loadu_si512(p); }
__m512bh load(const std::byte* p, __mmask16 lanes) { return (__m512bh)_mm512_maskz_loadu_epi32(lanes, p); }
__m512bh broadcast(uint32_t pair) { return (__m512bh)_mm512_set1_epi32(static_cast<int>(pair)); }
void prefetch(const std::byte* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1); }

__mmask16 first_lanes(int n) { return static_cast<__mmask16>(n >= kWidth ? 0xffff : n <= 0 ? 0 : (1 << n) - 1); }

int values_offset(const AttentionSpan& s) { return s.head_dim * kBlockTokens * 2; }

// Query number q of the span, scaled and rounded.
void round_query(const AttentionSpan& s, int q, uint32_t* words) {
  const float* query = s.queries + q / s.queries_per_row * s.row_stride + q % s.queries_per_row * s.head_dim;
  for (int d = 0; d < s.head_dim; d += kWidth) {
    const __m512 x = _mm512_maskz_loadu_ps(first_lanes(s.head_dim - d), query + d);
    _mm256_store_si256(reinterpret_cast<__m256i*>(words + d / 2),
                       (__m256i)_mm512_cvtneps_pbh(_mm512_mul_ps(x, _mm512_set1_ps(s.scale))));
  }
}

// scores[q][token] = Σ_d queries[q][d] · keys[d][token] of one block. Meanwhile the block's values are asked for, and
// while values are mixed the next span's keys: memory is read at one pace throughout.
template <int Q>
void score_block(const AttentionSpan& s, int first_query, int block, Work& work) {
  __m512 sums[Q][kKeyVectors];
  for (int q = 0; q < Q; ++q)
    for (int j = 0; j < kKeyVectors; ++j) sums[q][j] = _mm512_setzero_ps();
  const std::byte* keys = s.blocks[block];
  for (int pair = 0; pair < s.head_dim / 2; ++pair, keys += 4 * kBlockTokens) {
    __m512bh of_tokens[kKeyVectors];
    for (int j = 0; j < kKeyVectors; ++j) {
      of_tokens[j] = load(keys + 64 * j);
      if (first_query == 0) prefetch(keys + values_offset(s) + 64 * j);
    }
    for (int q = 0; q < Q; ++q) {
      const __m512bh query = broadcast(work.queries[q][pair]);
      for (int j = 0; j < kKeyVectors; ++j) sums[q][j] = _mm512_dpbf16_ps(sums[q][j], of_tokens[j], query);
    }
  }
  for (int q = 0; q < Q; ++q)
    for (int j = 0; j < kKeyVectors; ++j)
      _mm512_store_ps(work.scores[q] + block * kBlockTokens + j * kWidth, sums[q][j]);
}

// e^x for x ≤ 0, as 2^t: a polynomial for the fraction of t, off by 2.6e-6 of itself at most, a thousandth of what
// rounding to bf16 may take. NaN stays NaN.
__m512 exp_of_negative(__m512 x) {
  const __m512 t = _mm512_max_ps(_mm512_set1_ps(-150.0f), _mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)));
  const __m512 fraction = _mm512_reduce_ps(t, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  __m512 p = _mm512_set1_ps(0x1.bb7cd4p-7f);
  p = _mm512_fmadd_ps(p, fraction, _mm512_set1_ps(0x1.aa13f0p-5f));
  p = _mm512_fmadd_ps(p, fraction, _mm512_set1_ps(0x1.ee798ap-3f));
  p = _mm512_fmadd_ps(p, fraction, _mm512_set1_ps(0x1.62d166p-1f));
  p = _mm512_fmadd_ps(p, fraction, _mm512_set1_ps(0x1.00002cp+0f));
  return _mm512_scalef_ps(p, t);
}

// The highest score of a query. Those of tokens it does not see become -inf, to the end of its last block.
float mask_and_find_max(float* scores, int num_visible) {
  const int last = (num_visible - 1) / kBlockTokens * kBlockTokens;
  const __m512 minus_infinity = _mm512_set1_ps(-INFINITY);
  for (int token = last; token < last + kBlockTokens; token += kWidth) {
    const __m512 score = _mm512_load_ps(scores + token);
    _mm512_store_ps(scores + token, _mm512_mask_mov_ps(minus_infinity, first_lanes(num_visible - token), score));
  }
  __m512 highest = minus_infinity;
  for (int token = 0; token < num_visible; token += kWidth)
    highest = _mm512_max_ps(highest, _mm512_load_ps(scores + token));
  return _mm512_reduce_max_ps(highest);
}

// Writes the weights of a query's scores and returns their sum.
float soften(const float* scores, int num_visible, float max, uint32_t* weights) {
  const __m512 subtrahend = _mm512_set1_ps(max);
  __m512 total = _mm512_setzero_ps();
  for (int token = 0; token < num_visible; token += kBlockTokens) {
    const __m512 low = exp_of_negative(_mm512_sub_ps(_mm512_load_ps(scores + token), subtrahend));
    const __m512 high = exp_of_negative(_mm512_sub_ps(_mm512_load_ps(scores + token + kWidth), subtrahend));
    const __m512bh rounded = _mm512_cvtne2ps_pbh(high, low);
    total = _mm512_dpbf16_ps(total, rounded, broadcast(0x3f803f80));  // times one
    _mm512_store_si512(weights + token / 2, (__m512i)rounded);
  }
  return _mm512_reduce_add_ps(total);
}

// A pair of tokens that every query sees. Inlined by force: `sums` must stay in registers.
template <int Q, int N>
[[gnu::always_inline]] inline void add_pair(const std::byte* values, __mmask16 lanes, int pair, const Work& work,
                                            __m512 (&sums)[Q][N]) {
  __m512bh of_dims[N];
  for (int j = 0; j < N; ++j) of_dims[j] = N > 1 ? load(values + 64 * j) : load(values, lanes);
  for (int q = 0; q < Q; ++q) {
    const __m512bh weight = broadcast(work.weights[q][pair]);
    for (int j = 0; j < N; ++j) sums[q][j] = _mm512_dpbf16_ps(sums[q][j], of_dims[j], weight);
  }
}

// A pair that some queries see the first token of, or nothing. The rest may be any bytes, and a NaN times a weight of 0
// would still be felt.
template <int Q, int N>
[[gnu::always_inline]] inline void add_last_pair(const std::byte* values, __mmask16 lanes, int pair, const Work& work,
                                                 __m512 (&sums)[Q][N]) {
  for (int j = 0; j < N; ++j) {
    const __m512bh both = N > 1 ? load(values + 64 * j) : load(values, lanes);
    const __m512bh first = (__m512bh)_mm512_and_si512((__m512i)both, _mm512_set1_epi32(0xffff));
    for (int q = 0; q < Q; ++q) {
      const int num_seen = work.num_visible[q] - 2 * pair;
      const __m512 added = _mm512_dpbf16_ps(sums[q][j], num_seen == 1 ? first : both, broadcast(work.weights[q][pair]));
      // Not _mm512_mask_dpbf16_ps, of whose mask GCC 12 keeps 8 bits.
      sums[q][j] = _mm512_mask_mov_ps(sums[q][j], first_lanes(num_seen * kWidth), added);
    }
  }
}

// out[q][d …] = Σ_token weights[q][token] · values[token][d …], N vectors of dimensions
template <int Q, int N>
void mix(const AttentionSpan& s, int first_query, int d, const Work& work) {
  __m512 sums[Q][N];
  for (int q = 0; q < Q; ++q)
    for (int j = 0; j < N; ++j) sums[q][j] = _mm512_setzero_ps();
  const __mmask16 lanes = first_lanes(s.head_dim - d);
  const int seen_by_all = work.num_visible[0] / 2, seen_by_last = (work.num_visible[Q - 1] + 1) / 2;
  for (int block = 0; block * kBlockPairs < seen_by_last; ++block) {
    const std::byte* values = s.blocks[block] + values_offset(s) + 4 * d;
    const std::byte* next = first_query == 0 && block < s.num_next_blocks ? s.next_blocks[block] + 4 * d : nullptr;
    int pair = block * kBlockPairs;
    for (; pair < (block + 1) * kBlockPairs && pair < seen_by_all; ++pair, values += 4 * s.head_dim) {
      if (next != nullptr) {
        for (int j = 0; j < N; ++j) prefetch(next + 64 * j);
        next += 4 * s.head_dim;
      }
      add_pair<Q, N>(values, lanes, pair, work, sums);
    }
    for (; pair < (block + 1) * kBlockPairs && pair < seen_by_last; ++pair, values += 4 * s.head_dim)
      add_last_pair<Q, N>(values, lanes, pair, work, sums);
  }
  for (int q = 0; q < Q; ++q)
    for (int j = 0; j < N; ++j) {
      float* out = s.state.out + (first_query + q) * s.head_dim + d + j * kWidth;
      if (N > 1)
        _mm512_storeu_ps(out, sums[q][j]);
      else
        _mm512_mask_storeu_ps(out, lanes, sums[q][j]);
    }
}

// The dimensions from d on, N vectors at a time; what is left goes to the next smaller size.
template <int Q, int N>
void mix_from(const AttentionSpan& s, int first_query, int d, const Work& work) {
  for (; d + (N > 1 ? N * kWidth : 1) <= s.head_dim; d += N * kWidth) mix<Q, N>(s, first_query, d, work);
  if constexpr (N > 1) mix_from<Q, N / 2>(s, first_query, d, work);
}

template <int Q>
void attend_by(const AttentionSpan& s, int first_query, int num_queries, Work& work) {
  if (num_queries < Q) {
    if constexpr (Q > 1) attend_by<Q - 1>(s, first_query, num_queries, work);
    return;
  }
  for (int q = 0; q < Q; ++q) {
    const int num_visible = s.num_visible + (first_query + q) / s.queries_per_row;
    round_query(s, first_query + q, work.queries[q]);
    work.num_visible[q] = num_visible < kSpanTokens ? num_visible : int{kSpanTokens};
  }
  for (int block = 0; block * kBlockTokens < work.num_visible[Q - 1]; ++block)
    score_block<Q>(s, first_query, block, work);
  // One after the other for all, so that the reductions across lanes overlap.
  float* max = s.state.max + first_query;
  for (int q = 0; q < Q; ++q) max[q] = mask_and_find_max(work.scores[q], work.num_visible[q]);
  for (int q = 0; q < Q; ++q)
    s.state.sum[first_query + q] = soften(work.scores[q], work.num_visible[q], max[q], work.weights[q]);
  // Enough sums to hide the latency of their additions, where there are registers and dimensions for them.
  mix_from<Q, Q <= 2 ? 8 : Q <= 6 ? 4 : 2>(s, first_query, 0, work);
}

}  // namespace

void attend_to_span(const AttentionSpan& s) {
  Work work;
  for (int query = 0; query < s.num_queries; query += kMaxQueries) {
    const int left = s.num_queries - query;
    attend_by<kMaxQueries>(s, query, left < kMaxQueries ? left : kMaxQueries, work);
  }
}

}  // namespace retort::avx512bf16
