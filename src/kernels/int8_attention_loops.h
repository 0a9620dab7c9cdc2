// The int8 step of attention_kernels.h over any vector type; included only by kernels/<instruction set>/attention.cpp.
// Scores and mixed values are exact integer sums of stored numbers and 16-bit queries or weights; floats only scale
// them.
//
// D: what an instruction set multiplies with.
//   kWidth, kMaxQueries, kVectors   lanes, equal to the float vector's; the register block
//   Stored load(p), load_first(p, n)   kWidth fours of stored bytes
//   Coded coded(words, low_offset)     one four of coded numbers, in every lane
//   Sum zero(), dot(sum, stored, coded), V value(sum, start)   the sum of (q + 128) · x, and as a float of q · x
//   uint32_t code(rounded floats[32], words)   to kBlockTokens / 4 fours; returns Σ x, wrapping around at NaN
#pragma once

#include <math.h>

#include <cstdint>

#include "kernels/attention_kernels.h"
#include "kernels/kv_block.h"
#include "kernels/vector_exp.h"

namespace retort {

template <class V, class D>
class Int8AttentionLoops {
 public:
  static void step(const AttentionStep& s) {
    AttentionStep part = s;
    for (int done = 0; done < s.num_queries; done += part.num_queries) {
      part.num_queries = s.num_queries - done < D::kMaxQueries ? s.num_queries - done : D::kMaxQueries;
      step_of<D::kMaxQueries>(part);
      part.coded.words += part.num_queries;
      part.coded.scales += part.num_queries;
      part.coded.starts += part.num_queries;
      part.max += part.num_queries;
      part.sum += part.num_queries;
      part.out += part.num_queries * s.head_dim;
      part.next = nullptr;
    }
  }

 private:
  static constexpr int kWidth = D::kWidth, kFours = kBlockTokens / 4;
  static_assert(D::kWidth == V::kWidth);
  static constexpr int kPaddedQueries = (D::kMaxQueries + kWidth - 1) / kWidth * kWidth;

  struct Work {
    alignas(64) float weights[D::kMaxQueries * kBlockTokens];  // scores, then e^(score - max) · value scale
    alignas(64) uint32_t coded[D::kMaxQueries * 2 * kFours];   // the weights as 16-bit integers
    float scales[D::kMaxQueries];                              // weight of one step of those
    int starts[D::kMaxQueries];
    alignas(64) float corrections[kPaddedQueries];  // e^(old max - new max)
  };

  template <int Q>
  static void step_of(const AttentionStep& s) {
    if (s.num_queries < Q) {
      if constexpr (Q > 1) step_of<Q - 1>(s);
      return;
    }
    Work work;
    for (int token = 0; token < kBlockTokens; token += D::kVectors * kWidth) scores<Q>(s, token, work);
    soften<Q>(s, work);
    for (int q = 0; q < Q; ++q) code_weights(work, q);
    int d = 0;
    for (; d + D::kVectors * kWidth <= s.head_dim; d += D::kVectors * kWidth) mix<Q, D::kVectors>(s, d, work);
    for (; d < s.head_dim; d += kWidth) mix<Q, 1>(s, d, work);
  }

  static const float* key_scales(const AttentionStep& s) {
    return reinterpret_cast<const float*>(static_cast<const uint8_t*>(s.values) + s.head_dim * kBlockTokens);
  }

  // weights[q][token …] = query · key, back from integers
  template <int Q>
  static void scores(const AttentionStep& s, int token, Work& work) {
    constexpr int kKeys = D::kVectors;
    typename D::Sum sums[Q][kKeys];
    for (int q = 0; q < Q; ++q)
      for (int j = 0; j < kKeys; ++j) sums[q][j] = D::zero();
    const uint32_t* words = s.coded.words;
    const auto* keys = static_cast<const uint8_t*>(s.keys) + 4 * token;
    for (int d = 0; d < s.head_dim; d += 4, words += s.query_stride, keys += 4 * kBlockTokens) {
      typename D::Stored stored[kKeys];
      for (int j = 0; j < kKeys; ++j) stored[j] = D::load(keys + 4 * j * kWidth);
      if (s.next) prefetch_next<V, kKeys>(s, d * kBlockTokens + 4 * token);
      for (int q = 0; q < Q; ++q) {
        const typename D::Coded x = D::coded(words + q, s.coded.low_offset);
        for (int j = 0; j < kKeys; ++j) sums[q][j] = D::dot(sums[q][j], stored[j], x);
      }
    }
    for (int j = 0; j < kKeys; ++j) {
      const V scales = V::load(key_scales(s) + token + j * kWidth);
      for (int q = 0; q < Q; ++q)
        V::mul(V::mul(D::value(sums[q][j], s.coded.starts[q]), V::broadcast(s.coded.scales[q])), scales)
            .store(work.weights + q * kBlockTokens + token + j * kWidth);
    }
  }

  // Turns scores into weights of the stored values and carries max and sum on. Bytes of tokens not visible may be
  // anything, NaN among the scales: they are masked.
  template <int Q>
  static void soften(const AttentionStep& s, Work& work) {
    const V minus_infinity = V::broadcast(-INFINITY);
    for (int q = 0; q < Q; ++q) {
      V highest = minus_infinity;
      for (int token = 0; token < kBlockTokens; token += kWidth) {
        float* p = work.weights + q * kBlockTokens + token;
        const V score = V::keep_first(V::load(p), s.num_visible - token, minus_infinity);
        score.store(p);
        highest = V::max(highest, score);
      }
      const float block_max = highest.largest();
      const float new_max = s.max[q] > block_max ? s.max[q] : block_max;
      work.corrections[q] = s.max[q] - new_max;
      s.max[q] = new_max;
    }
    for (int q = Q; q < kPaddedQueries; ++q) work.corrections[q] = 0;
    for (int q = 0; q < Q; q += kWidth) vector_exp(V::load(work.corrections + q)).store(work.corrections + q);
    const float* value_scales = key_scales(s) + kBlockTokens;
    for (int q = 0; q < Q; ++q) {
      const V max = V::broadcast(-s.max[q]);
      V total = V::zero();
      for (int token = 0; token < kBlockTokens; token += kWidth) {
        float* p = work.weights + q * kBlockTokens + token;
        const V weight = vector_exp(V::add(V::load(p), max));
        total = V::add(total, weight);
        V::keep_first(V::mul(weight, V::load(value_scales + token)), s.num_visible - token, V::zero()).store(p);
      }
      s.sum[q] = s.sum[q] * work.corrections[q] + total.sum();
    }
  }

  static void code_weights(Work& work, int q) {
    float* weights = work.weights + q * kBlockTokens;
    V highest = V::zero();
    for (int token = 0; token < kBlockTokens; token += kWidth) highest = V::max(highest, V::load(weights + token));
    const float largest = highest.largest();
    const V inverse = V::broadcast(largest > 1e-30f ? kMaxCoded / largest : 0.0f);
    for (int token = 0; token < kBlockTokens; token += kWidth)
      V::round(V::mul(V::load(weights + token), inverse)).store(weights + token);
    work.scales[q] = largest / kMaxCoded;
    work.starts[q] = static_cast<int32_t>(-128 * D::code(weights, work.coded + q * 2 * kFours));
  }

  // out[q][d …] = out[q][d …] · correction + Σ_token weights[q][token] · values[token][d …]
  template <int Q, int N>
  static void mix(const AttentionStep& s, int d, const Work& work) {
    typename D::Sum sums[Q][N];
    for (int q = 0; q < Q; ++q)
      for (int j = 0; j < N; ++j) sums[q][j] = D::zero();
    const int left = s.head_dim - d;
    const auto* values = static_cast<const uint8_t*>(s.values) + 4 * d;
    for (int four = 0; four * 4 < s.num_visible; ++four, values += 4 * s.head_dim) {
      typename D::Stored stored[N];
      for (int j = 0; j < N; ++j)
        stored[j] = N > 1 || left >= kWidth ? D::load(values + 4 * j * kWidth) : D::load_first(values, left);
      if (s.next) prefetch_next<V, N>(s, s.head_dim * kBlockTokens + 4 * (four * s.head_dim + d));
      for (int q = 0; q < Q; ++q) {
        const typename D::Coded x = D::coded(work.coded + q * 2 * kFours + four, kFours);
        for (int j = 0; j < N; ++j) sums[q][j] = D::dot(sums[q][j], stored[j], x);
      }
    }
    for (int q = 0; q < Q; ++q)
      for (int j = 0; j < N; ++j) {
        float* out = s.out + q * s.head_dim + d + j * kWidth;
        const bool is_whole = N > 1 || left >= kWidth;
        const V old = V::mul(is_whole ? V::load(out) : V::load_first(out, left), V::broadcast(work.corrections[q]));
        const V mixed = V::fma(D::value(sums[q][j], work.starts[q]), V::broadcast(work.scales[q]), old);
        if (is_whole)
          mixed.store(out);
        else
          mixed.store_first(out, left);
      }
  }
};

// The words of a four where they are its high and its low bytes: x = 256 · high + low, both signed.
inline void code_as_bytes(const int16_t* x, int num_fours, int stride, int low_offset, uint32_t* words) {
  for (int i = 0; i < num_fours; ++i, x += 4) {
    uint32_t high = 0, low = 0;
    for (int j = 0; j < 4; ++j) {
      const auto upper = static_cast<uint32_t>((x[j] + 128) >> 8), all = static_cast<uint32_t>(x[j]);
      high |= (upper & 255) << (8 * j);
      low |= (all & 255) << (8 * j);
    }
    words[i * stride] = high;
    words[low_offset + i * stride] = low;
  }
}

// The words of a four where they are pairs of 16-bit numbers: the even and the odd dimensions.
inline void code_as_pairs(const int16_t* x, int num_fours, int stride, int low_offset, uint32_t* words) {
  const auto pair = [](int16_t a, int16_t b) {
    return static_cast<uint32_t>(static_cast<uint16_t>(a)) | static_cast<uint32_t>(static_cast<uint16_t>(b)) << 16;
  };
  for (int i = 0; i < num_fours; ++i, x += 4) {
    words[i * stride] = pair(x[0], x[2]);
    words[low_offset + i * stride] = pair(x[1], x[3]);
  }
}

}  // namespace retort
