// The policy of tile_rows.h and many_rows.h for AVX2. maddubs adds two products in 16 bits: quants of few bits leave
// room to add several of its results before they are widened; 8-bit ones are taken as signed, |w| · (a with w's sign),
// so that no pair can overflow. Where quants have a zero point, the 16 bits start at −zero · Σa: what they hold may
// wrap around on the way, and at the end is Σ (w − zero) · a, which needs a bit less than Σ w · a.
#pragma once

#include "kernels/avx2/many_rows.h"

namespace retort::avx2 {
namespace {

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

struct TileVector : TileBase {
  static constexpr float kSumBias = 0;
  // Where they are signed, |quads| as well.
  template <const TileFormat& kFormat>
  static constexpr int num_vectors = is_signed(kFormat) ? 16 : 8;
  // As many as 16 registers hold.
  template <const TileFormat& kFormat>
  static constexpr int num_rows = is_signed(kFormat) ? 2 : 4;

  template <const TileFormat& kFormat, int kQuad>
  static __m256i quad(const Byte* planes) {
    const __m256i top_bit = _mm256_set1_epi8(-128);
    if constexpr (kFormat.codebook)
      return _mm256_shuffle_epi8(_mm256_xor_si256(codebook(), top_bit), stored_quad<kFormat, kQuad, 0>(planes));
    else if constexpr (kFormat.bits == 8)
      return _mm256_xor_si256(stored_quad<kFormat, kQuad, 0>(planes), top_bit);
    else
      return stored_quad<kFormat, kQuad, 0>(planes);
  }

  template <const TileFormat& kFormat>
  static Quants unpack(const Byte* group, int part) {
    group += 32 * part;
    return {{quad<kFormat, 0>(group), quad<kFormat, 1>(group), quad<kFormat, 2>(group), quad<kFormat, 3>(group),
             quad<kFormat, 4>(group), quad<kFormat, 5>(group), quad<kFormat, 6>(group), quad<kFormat, 7>(group)}};
  }

  template <const TileFormat& kFormat>
  static void keep(const Quants& quants, int part, __m256i (&kept)[num_vectors<kFormat>][2]) {
    for (int q = 0; q < 8; ++q) {
      kept[q][part] = quants.quad[q];
      if constexpr (is_signed(kFormat)) kept[8 + q][part] = magnitude<kFormat>(quants.quad[q]);
    }
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

  template <const TileFormat& kFormat, int kHalf, int kRows>
  static void sum_rows(const __m256i (&w)[num_vectors<kFormat>][2], const int8_t* a, const int32_t* starts, int stride,
                       __m256 (&sums)[kRows][2]) {
    using Quads = QuadRange<kFormat, kHalf>;
    __m256i acc[kRows][2];
#pragma GCC unroll 8
    for (int q0 = Quads::kFirst; q0 < Quads::kLast; q0 += Quads::kTogether) {
      __m256i pairs[kRows][2];
#pragma GCC unroll 8
      for (int q = q0; q < q0 + Quads::kTogether; ++q) {
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) {
          const __m256i four = broadcast_quad(a + r * kGroupInputs + 4 * q);
#pragma GCC unroll 2
          for (int part = 0; part < 2; ++part) {
            const __m256i products = multiply<kFormat>(w[q][part], w[q + num_vectors<kFormat> - 8][part], four);
            pairs[r][part] = add_products<kFormat>(products, q == q0, pairs[r][part], starts[r * stride]);
            // In this order: summed up in a tree, the products would need more registers than there are.
            asm("" : "+x"(pairs[r][part]));
          }
        }
      }
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
        for (int part = 0; part < 2; ++part) {
          const __m256i sum = widen(pairs[r][part]);
          acc[r][part] = q0 == Quads::kFirst ? sum : _mm256_add_epi32(acc[r][part], sum);
          asm("" : "+x"(acc[r][part]));
        }
    }
    for (int r = 0; r < kRows; ++r)
      for (int part = 0; part < 2; ++part) sums[r][part] = _mm256_cvtepi32_ps(acc[r][part]);
  }

  template <const TileFormat& kFormat>
  static Float unshift() {
    return _mm256_set1_ps(1.0f);
  }

  static void quantize_row(const float* row, int64_t num_groups, int64_t row_idx, const ActivationPanel& panel) {
    for (int64_t g = 0; g < num_groups; ++g, row += kGroupInputs) {
      const int64_t i = g * panel.num_rows + row_idx;
      const QuantizedGroup group = quantize_group(row);
      const __m256i(&q)[4] = group.words;
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(panel.quants + i * kGroupInputs), group.quants);
      // Sums of inputs 0 and 1 of the first half's quads, 2 and 3; of the second half's; of both.
      const __m256i pairs = _mm256_hadd_epi32(_mm256_add_epi32(q[0], q[1]), _mm256_add_epi32(q[2], q[3]));
      const __m128i halves = _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
      const __m128i whole = _mm_add_epi32(halves, _mm_shuffle_epi32(halves, 0x4e));
      const __m128i starts = _mm_sub_epi16(_mm_setzero_si128(), _mm_packs_epi32(halves, whole));
      _mm_storel_epi64(reinterpret_cast<__m128i*>(panel.half_starts + 2 * i), starts);
      panel.starts[i] = _mm_extract_epi32(starts, 2);
      const __m128i sums = _mm_hadd_epi32(halves, halves);
      write_group_sums(panel, i, group.largest / 127.0f, _mm_cvtsi128_si32(sums), _mm_extract_epi32(sums, 1));
    }
  }
};

}  // namespace
}  // namespace retort::avx2
