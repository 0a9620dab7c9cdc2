// The policy of tile_rows.h for AVX2. maddubs adds two products in 16 bits: quants of few bits leave room to add
// several of its results before they are widened; 8-bit ones are taken as signed, |w| · (a with w's sign), so that no
// pair can overflow. Where quants have a zero point, the 16 bits start at −zero · Σa: what they hold may wrap around on
// the way, and at the end is Σ (w − zero) · a, which needs a bit less than Σ w · a.
#pragma once

#include <immintrin.h>

#include "kernels/tile_rows.h"

namespace retort::avx2 {
namespace {

using Byte = unsigned char;

template <int kLeft, int kMask>
inline __m256i field(__m256i x) {
  const __m256i moved =
      kLeft >= 0 ? _mm256_slli_epi16(x, kLeft >= 0 ? kLeft : 0) : _mm256_srli_epi16(x, kLeft < 0 ? -kLeft : 0);
  return _mm256_and_si256(moved, _mm256_set1_epi8(static_cast<char>(kMask)));
}

inline __m256i load(const Byte* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

constexpr bool is_signed(const TileFormat& format) { return format.bits == 8 || format.codebook; }

constexpr bool is_centered(const TileFormat& format) { return format.zero != 0 && !is_signed(format); }

// The quads of a half group (kHalf 0, 1) or of a whole one (−1), and how many of them have maddubs results that fit
// together into 16 bits: n · 2 · 127 · max|w| < 2^15, w as they are at the end.
template <const TileFormat& kFormat, int kHalf>
struct QuadRange {
  static constexpr int kFirst = kHalf == 1 ? 4 : 0, kLast = kHalf == 0 ? 4 : 8;
  static constexpr int kBits = kFormat.bits - (is_centered(kFormat) ? 1 : 0);
  static constexpr int kFit = is_signed(kFormat) ? 1 : kBits <= 4 ? 8 : kBits == 5 ? 4 : 2;
  static constexpr int kTogether = kFit < kLast - kFirst ? kFit : kLast - kFirst;
  static_assert(!is_centered(kFormat) || kTogether == kLast - kFirst);
};

inline __m256i broadcast_quad(const int8_t* a) { return _mm256_set1_epi32(*reinterpret_cast<const int*>(a)); }

template <const TileFormat& kFormat>
inline __m256i magnitude(__m256i w) {
  return is_signed(kFormat) ? _mm256_abs_epi8(w) : w;
}

// w · a of 8 outputs and 4 inputs, added in pairs.
template <const TileFormat& kFormat>
inline __m256i multiply(__m256i w, __m256i magnitude_of_w, __m256i a) {
  return _mm256_maddubs_epi16(magnitude_of_w, is_signed(kFormat) ? _mm256_sign_epi8(a, w) : a);
}

inline __m256i widen(__m256i pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }

// The products of a quad, in pairs, with those before. The first ones start at −zero · Σa where there is a zero point:
// in 16 bits as the products lie, the inputs 0 and 1 of all quads, 2 and 3. start: as quantize_row left it, for zero 1.
template <const TileFormat& kFormat>
inline __m256i add_products(__m256i products, bool is_first, __m256i pairs, int32_t start) {
  constexpr int kShift = kFormat.zero == 4 ? 2 : kFormat.zero == 8 ? 3 : kFormat.zero == 16 ? 4 : 5;
  if (!is_first) return _mm256_add_epi16(pairs, products);
  if constexpr (!is_centered(kFormat)) return products;
  static_assert(!is_centered(kFormat) || kFormat.zero == 1 << kShift);
  return _mm256_add_epi16(_mm256_slli_epi16(_mm256_set1_epi32(start), kShift), products);
}

struct TileVector {
  static constexpr int kParts = 2, kMaxRows = 2;
  static constexpr int rows_at_once(int, bool) { return 1; }
  static constexpr float kSumBias = 0;
  using Float = __m256;
  struct Quants {
    __m256i quad[8];  // inputs 4q … 4q+3 of 8 outputs
  };

  template <const TileFormat& kFormat, int kQuad>
  static __m256i quad(const Byte* planes) {
    constexpr int kBits = kFormat.bits;
    if constexpr (kBits == 8) {
      return _mm256_xor_si256(load(planes + kQuad * 64), _mm256_set1_epi8(-128));
    } else if constexpr (kFormat.codebook) {
      const __m256i table =
          _mm256_xor_si256(_mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(kIq4Values))),
                           _mm256_set1_epi8(-128));
      return _mm256_shuffle_epi8(table, field < kQuad<4 ? 0 : -4, 15>(load(planes + kQuad % 4 * 64)));
    } else {
      constexpr int kTwoAt = (kBits & 4) ? 4 : 0, kOneAt = kBits - 1;
      __m256i q = _mm256_setzero_si256();
      if constexpr ((kBits & 4) != 0) {
        q = field < kQuad<4 ? 0 : -4, 15>(load(planes + kQuad % 4 * 64));
        planes += 256;
      }
      if constexpr ((kBits & 2) != 0) {
        q = _mm256_or_si256(q, field<kTwoAt - 2 * (kQuad / 2), 3 << kTwoAt>(load(planes + kQuad % 2 * 64)));
        planes += 128;
      }
      if constexpr ((kBits & 1) != 0) q = _mm256_or_si256(q, field<kOneAt - kQuad, 1 << kOneAt>(load(planes)));
      return q;
    }
  }

  template <const TileFormat& kFormat>
  static Quants unpack(const Byte* group, int part) {
    group += 32 * part;
    return {{quad<kFormat, 0>(group), quad<kFormat, 1>(group), quad<kFormat, 2>(group), quad<kFormat, 3>(group),
             quad<kFormat, 4>(group), quad<kFormat, 5>(group), quad<kFormat, 6>(group), quad<kFormat, 7>(group)}};
  }

  template <const TileFormat& kFormat, int kHalf, int kRows>
  static void sum(const Quants& w, const int8_t* a, const int32_t* starts, int, Float (&sums)[kRows]) {
    static_assert(kRows == 1);
    using Quads = QuadRange<kFormat, kHalf>;
    __m256i acc = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (int q0 = Quads::kFirst; q0 < Quads::kLast; q0 += Quads::kTogether) {
      __m256i pairs = _mm256_setzero_si256();
#pragma GCC unroll 8
      for (int q = q0; q < q0 + Quads::kTogether; ++q) {
        const __m256i products = multiply<kFormat>(w.quad[q], magnitude<kFormat>(w.quad[q]), broadcast_quad(a + 4 * q));
        pairs = add_products<kFormat>(products, q == q0, pairs, starts[0]);
      }
      acc = q0 == Quads::kFirst ? widen(pairs) : _mm256_add_epi32(acc, widen(pairs));
    }
    sums[0] = _mm256_cvtepi32_ps(acc);
  }

  template <const TileFormat& kFormat>
  static Float unshift() {
    return _mm256_set1_ps(1.0f);
  }

  static __m128i eight(const Byte* p) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)); }
  static Float halves(const Byte* p) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
  static Float signed_bytes(const Byte* p) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight(p))); }
  static Float unsigned_bytes(const Byte* p) { return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(eight(p))); }
  static Float low_nibbles(const Byte* p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_and_si128(eight(p), _mm_set1_epi8(15))));
  }
  static Float high_nibbles(const Byte* p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_and_si128(_mm_srli_epi16(eight(p), 4), _mm_set1_epi8(15))));
  }
  static Float mul(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static Float fma(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
  static Float negate(Float a) { return _mm256_xor_ps(a, _mm256_set1_ps(-0.0f)); }
  static Float set1(float a) { return _mm256_set1_ps(a); }
  static Float zero() { return _mm256_setzero_ps(); }
  static void store(float* p, Float a) { _mm256_storeu_ps(p, a); }
  static void prefetch_far(const Byte* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1); }
  static void prefetch_near(const Byte* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_NTA); }
  static void prefetch_all(const Byte* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0); }

  static float reduce_max_bits(__m256i x) {
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    return _mm_cvtss_f32(_mm_castsi128_ps(_mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1))));
  }

  static void quantize_row(const float* row, int64_t num_groups, int64_t row_idx, const ActivationPanel& panel) {
    for (int64_t g = 0; g < num_groups; ++g, row += kGroupInputs) {
      const int64_t i = g * panel.num_rows + row_idx;
      // Magnitudes are compared as integers, for which NaN is the largest.
      const __m256i no_sign = _mm256_set1_epi32(0x7fffffff);
      __m256 x[4];
      __m256i most = _mm256_setzero_si256();
      for (int v = 0; v < 4; ++v) {
        x[v] = _mm256_loadu_ps(row + 8 * v);
        most = _mm256_max_epi32(most, _mm256_and_si256(no_sign, _mm256_castps_si256(x[v])));
      }
      const float largest = reduce_max_bits(most);
      const __m256 inverse = _mm256_set1_ps(largest > kSmallestActivation ? 127.0f / largest : 0.0f);
      __m256i q[4];
      for (int v = 0; v < 4; ++v) q[v] = _mm256_cvtps_epi32(_mm256_mul_ps(x[v], inverse));
      // Packing works inside 128-bit lanes; the permutation brings the 8 words of 4 bytes back in order.
      const __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
      const __m256i ordered = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(panel.quants + i * kGroupInputs), ordered);
      // Sums of inputs 0 and 1 of the first half's quads, 2 and 3; of the second half's; of both.
      const __m256i pairs = _mm256_hadd_epi32(_mm256_add_epi32(q[0], q[1]), _mm256_add_epi32(q[2], q[3]));
      const __m128i halves = _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
      const __m128i whole = _mm_add_epi32(halves, _mm_shuffle_epi32(halves, 0x4e));
      const __m128i starts = _mm_sub_epi16(_mm_setzero_si128(), _mm_packs_epi32(halves, whole));
      _mm_storel_epi64(reinterpret_cast<__m128i*>(panel.half_starts + 2 * i), starts);
      panel.starts[i] = _mm_extract_epi32(starts, 2);
      const __m128i sums = _mm_hadd_epi32(halves, halves);
      write_group_sums(panel, i, largest / 127.0f, _mm_cvtsi128_si32(sums), _mm_extract_epi32(sums, 1));
    }
  }
};

}  // namespace
}  // namespace retort::avx2
