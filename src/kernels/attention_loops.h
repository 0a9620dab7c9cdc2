// The steps of attention_kernels.h over any vector type; included only by kernels/<instruction set>/attention.cpp.
// Q queries are held in registers against a few vectors of keys (or of value dimensions), so every load feeds Q
// multiply-adds.
#pragma once

#include <math.h>

#include <cstdint>

#include "kernels/attention_kernels.h"
#include "kernels/kv_block.h"
#include "kernels/vector_exp.h"

namespace retort {

// How keys and values are stored. kStep: head dimensions (of keys) or tokens (of values) that lie side by side.
template <class V>
struct F32Store {
  static constexpr int kStep = 1, kTokenBytes = 4;
  // Keys of dimension d, tokens from `token` on: one vector for each of kStep dimensions.
  static void load_keys(const void* keys, int d, int token, V (&out)[kStep]) {
    out[0] = V::load(static_cast<const float*>(keys) + d * kBlockTokens + token);
  }
  // Values of kStep tokens from `token` on, dimensions from d on (`left` of them remain).
  static void load_values(const void* values, int head_dim, int token, int d, int left, V (&out)[kStep]) {
    const float* p = static_cast<const float*>(values) + token * head_dim + d;
    out[0] = left >= V::kWidth ? V::load(p) : V::load_first(p, left);
  }
};

template <class V>
struct Bf16Store {
  static constexpr int kStep = 2, kTokenBytes = 2;
  static void load_keys(const void* keys, int d, int token, V (&out)[kStep]) {
    V::load_bf16_pairs(static_cast<const uint16_t*>(keys) + d * kBlockTokens + 2 * token, out);
  }
  static void load_values(const void* values, int head_dim, int token, int d, int left, V (&out)[kStep]) {
    const uint16_t* p = static_cast<const uint16_t*>(values) + token * head_dim + 2 * d;
    if constexpr (V::kWidth > 8)  // head_dim is a multiple of 8
      if (left < V::kWidth) return V::load_bf16_pairs_first(p, left, out);
    V::load_bf16_pairs(p, out);
  }
};

template <class V, template <class> class Store>
class AttentionLoops {
 public:
  static void step(const AttentionStep& s) { step_of<V::kMaxQueries>(s); }

 private:
  static constexpr int kWidth = V::kWidth, kVectors = kBlockTokens / kWidth, kStep = Store<V>::kStep;
  // Padded to whole vectors, so that the corrections are one vector exponential.
  static constexpr int kPaddedQueries = (V::kMaxQueries + kWidth - 1) / kWidth * kWidth;

  struct Work {
    alignas(64) float weights[V::kMaxQueries * kBlockTokens];  // scores, then e^(score - max)
    alignas(64) float corrections[kPaddedQueries];             // e^(old max - new max)
  };

  template <int Q>
  static void step_of(const AttentionStep& s) {
    if (s.num_queries < Q) {
      if constexpr (Q > 1) step_of<Q - 1>(s);
      return;
    }
    Work work;
    constexpr int kTokens = V::kKeyVectors * kWidth;
    for (int token = 0; token < kBlockTokens; token += kTokens) scores<Q>(s, token, work);
    soften<Q>(s, work);
    int d = 0;
    for (; d + V::kDimVectors * kWidth <= s.head_dim; d += V::kDimVectors * kWidth) mix<Q, V::kDimVectors>(s, d, work);
    for (; d < s.head_dim; d += kWidth) mix<Q, 1>(s, d, work);
  }

  // weights[q][token …] = Σ_d queries[d][q] · keys[d][token …]
  template <int Q>
  static void scores(const AttentionStep& s, int token, Work& work) {
    constexpr int kKeys = V::kKeyVectors;
    V sums[Q][kKeys];
    for (int q = 0; q < Q; ++q)
      for (int j = 0; j < kKeys; ++j) sums[q][j] = V::zero();
    const float* queries = s.queries;
    for (int d = 0; d < s.head_dim; d += kStep) {
      V keys[kKeys][kStep];
      for (int j = 0; j < kKeys; ++j) Store<V>::load_keys(s.keys, d, token + j * kWidth, keys[j]);
      if (s.next) prefetch_next<V, kKeys>(s, (d * kBlockTokens + token * kStep) * Store<V>::kTokenBytes);
      for (int i = 0; i < kStep; ++i, queries += s.query_stride)
        for (int q = 0; q < Q; ++q) {
          const V query = V::broadcast(queries[q]);
          for (int j = 0; j < kKeys; ++j) sums[q][j] = V::fma(query, keys[j][i], sums[q][j]);
        }
    }
    for (int q = 0; q < Q; ++q)
      for (int j = 0; j < kKeys; ++j) sums[q][j].store(work.weights + q * kBlockTokens + token + j * kWidth);
  }

  // Turns scores into weights and carries max and sum on.
  template <int Q>
  static void soften(const AttentionStep& s, Work& work) {
    const V minus_infinity = V::broadcast(-INFINITY);
    for (int q = 0; q < Q; ++q) {
      float* row = work.weights + q * kBlockTokens;
      V highest = minus_infinity;
      for (int j = 0; j < kVectors; ++j) {
        V score = V::load(row + j * kWidth);
        if (s.num_visible < kBlockTokens) {
          score = V::keep_first(score, s.num_visible - j * kWidth, minus_infinity);
          score.store(row + j * kWidth);
        }
        highest = V::max(highest, score);
      }
      const float block_max = highest.largest();
      const float new_max = s.max[q] > block_max ? s.max[q] : block_max;
      work.corrections[q] = s.max[q] - new_max;
      s.max[q] = new_max;
    }
    for (int q = Q; q < kPaddedQueries; ++q) work.corrections[q] = 0;
    for (int q = 0; q < Q; q += kWidth) vector_exp(V::load(work.corrections + q)).store(work.corrections + q);
    for (int q = 0; q < Q; ++q) {
      float* row = work.weights + q * kBlockTokens;
      const V max = V::broadcast(-s.max[q]);
      V total = V::zero();
      for (int j = 0; j < kVectors; ++j) {
        const V weight = vector_exp(V::add(V::load(row + j * kWidth), max));
        weight.store(row + j * kWidth);
        total = V::add(total, weight);
      }
      s.sum[q] = s.sum[q] * work.corrections[q] + total.sum();
    }
  }

  // out[q][d …] = out[q][d …] · correction + Σ_token weights[q][token] · values[token][d …]
  template <int Q, int N>
  static void mix(const AttentionStep& s, int d, const Work& work) {
    V sums[Q][N];
    for (int q = 0; q < Q; ++q)
      for (int j = 0; j < N; ++j) {
        const V old = load_out<N>(s.out + q * s.head_dim, d + j * kWidth, s.head_dim);
        sums[q][j] = V::mul(old, V::broadcast(work.corrections[q]));
      }
    int token = 0;
    for (; token + kStep <= s.num_visible; token += kStep) add_tokens<Q, N, kStep>(s, d, token, work, sums);
    if constexpr (kStep > 1)  // an odd last token: its neighbour's bytes may be anything
      if (token < s.num_visible) add_tokens<Q, N, 1>(s, d, token, work, sums);
    for (int q = 0; q < Q; ++q)
      for (int j = 0; j < N; ++j) store_out<N>(sums[q][j], s.out + q * s.head_dim, d + j * kWidth, s.head_dim);
  }

  // Inlined by force: `sums` must stay in registers.
  template <int Q, int N, int T>
  [[gnu::always_inline]] static void add_tokens(const AttentionStep& s, int d, int token, const Work& work,
                                                V (&sums)[Q][N]) {
    V values[N][kStep];
    for (int j = 0; j < N; ++j) {
      const int left = N > 1 ? kWidth : s.head_dim - d;
      Store<V>::load_values(s.values, s.head_dim, token, d + j * kWidth, left, values[j]);
    }
    if (s.next)
      prefetch_next<V, N>(s, (s.head_dim * kBlockTokens + token * s.head_dim + d * kStep) * Store<V>::kTokenBytes);
    for (int i = 0; i < T; ++i)
      for (int q = 0; q < Q; ++q) {
        const V weight = V::broadcast(work.weights[q * kBlockTokens + token + i]);
        for (int j = 0; j < N; ++j) sums[q][j] = V::fma(weight, values[j][i], sums[q][j]);
      }
  }

  // Only the last, single vector of a row may be partial.
  template <int N>
  static V load_out(const float* row, int d, int head_dim) {
    if (N > 1 || d + kWidth <= head_dim) return V::load(row + d);
    return V::load_first(row + d, head_dim - d);
  }
  template <int N>
  static void store_out(V value, float* row, int d, int head_dim) {
    if (N > 1 || d + kWidth <= head_dim)
      value.store(row + d);
    else
      value.store_first(row + d, head_dim - d);
  }
};

// Both sides are brought to the higher of the two maxima.
template <class V>
void join_states(const AttentionState& state, const AttentionState& other, int64_t num_queries, int head_dim) {
  for (int64_t q = 0; q < num_queries; ++q) {
    const float max = state.max[q] > other.max[q] ? state.max[q] : other.max[q];
    alignas(64) float corrections[V::kWidth] = {state.max[q] - max, other.max[q] - max};
    vector_exp(V::load(corrections)).store(corrections);
    state.max[q] = max;
    state.sum[q] = state.sum[q] * corrections[0] + other.sum[q] * corrections[1];
    const V mine = V::broadcast(corrections[0]), its = V::broadcast(corrections[1]);
    float* out = state.out + q * head_dim;
    const float* from = other.out + q * head_dim;
    for (int d = 0; d < head_dim; d += V::kWidth) {
      const int left = head_dim - d;
      if (left >= V::kWidth)
        V::fma(V::load(from + d), its, V::mul(V::load(out + d), mine)).store(out + d);
      else
        V::fma(V::load_first(from + d, left), its, V::mul(V::load_first(out + d, left), mine))
            .store_first(out + d, left);
    }
  }
}

}  // namespace retort
