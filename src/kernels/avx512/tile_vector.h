// The policy of tile_rows.h for AVX-512 VNNI; what AMX unpacks and scales with as well. Quants are brought to the top
// of their byte (q << (8 − bits)): the zero point of every type is then 128, so the sums start at the activations'
// precomputed −128 · Σa; the power of two is taken back in the scale, exactly.
//
// In an unnamed namespace: files compiled for different instruction sets include this, and none may get another's copy.
#pragma once

#include <immintrin.h>

#include <bit>

#include "kernels/tile_rows.h"

namespace retort::avx512 {
namespace {

using Byte = unsigned char;

// Bits of x moved left (right where negative) and masked: bits that crossed a byte fall to the mask.
template <int kLeft, int kMask>
inline __m512i field(__m512i x) {
  const __m512i moved =
      kLeft >= 0 ? _mm512_slli_epi16(x, kLeft >= 0 ? kLeft : 0) : _mm512_srli_epi16(x, kLeft < 0 ? -kLeft : 0);
  return _mm512_and_si512(moved, _mm512_set1_epi8(static_cast<char>(kMask)));
}

template <int kLeft, int kMask>
inline __m512i or_field(__m512i base, __m512i x) {
  return _mm512_or_si512(base, field<kLeft, kMask>(x));
}

struct TileVector {
  // Sixteen pay least for unpacking, though not all of their sums fit into the registers beside the group's quants.
  static constexpr int kParts = 1, kMaxRows = 16, kPanelRows = 16;
  // All: one row's products are a chain of eight, each of which waits for the one before, and row after row they fill
  // the scheduler with what has to wait. Of 16 rows with two sums a group, half: more of them do not fit into the
  // registers.
  static constexpr int rows_at_once(int rows, bool has_halves) { return has_halves && rows == 16 ? 8 : rows; }
  static constexpr float kSumBias = 12582912;
  static_assert((128 + 255) * 127 * kGroupInputs < 1 << 22);  // the largest sum, from the zero point's share on
  using Float = __m512;
  struct Quants {
    __m512i quad[8];  // inputs 4q … 4q+3 of 16 outputs
  };

  template <const TileFormat& kFormat, int kQuad>
  static __m512i quad(const Byte* planes) {
    constexpr int kBits = kFormat.bits, kUp = 8 - kBits;
    if constexpr (kBits == 8) {
      return _mm512_load_si512(planes + kQuad * 64);
    } else if constexpr (kFormat.codebook) {
      const __m512i table = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(kIq4Values)));
      return _mm512_shuffle_epi8(table, field < kQuad<4 ? 0 : -4, 15>(_mm512_load_si512(planes + kQuad % 4 * 64)));
    } else {
      constexpr int kTwoAt = (kBits & 4) ? 4 : 0;
      __m512i q = _mm512_setzero_si512();
      if constexpr ((kBits & 4) != 0) {
        q = field < kUp - (kQuad < 4 ? 0 : 4), (15 << kUp) & 255 > (_mm512_load_si512(planes + kQuad % 4 * 64));
        planes += 256;
      }
      if constexpr ((kBits & 2) != 0) {
        q = or_field < kUp + kTwoAt - 2 * (kQuad / 2),
        (3 << (kUp + kTwoAt)) & 255 > (q, _mm512_load_si512(planes + kQuad % 2 * 64));
        planes += 128;
      }
      if constexpr ((kBits & 1) != 0) q = or_field<7 - kQuad, 128>(q, _mm512_load_si512(planes));
      return q;
    }
  }

  template <const TileFormat& kFormat>
  static Quants unpack(const Byte* group, int) {
    return {{quad<kFormat, 0>(group), quad<kFormat, 1>(group), quad<kFormat, 2>(group), quad<kFormat, 3>(group),
             quad<kFormat, 4>(group), quad<kFormat, 5>(group), quad<kFormat, 6>(group), quad<kFormat, 7>(group)}};
  }

  template <const TileFormat& kFormat, int kHalf, int kRows>
  [[gnu::always_inline]] static void sum(const Quants& w, const int8_t* a, const int32_t* starts, int stride,
                                         Float (&sums)[kRows]) {
    constexpr bool kIsBiased = kHalf != 1;
    __m512i acc[kRows];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r)
      acc[r] = kFormat.zero != 0 ? _mm512_set1_epi32(starts[r * stride])
                                 : _mm512_set1_epi32(kIsBiased ? std::bit_cast<int>(kSumBias) : 0);
#pragma GCC unroll 8
    for (int q = kHalf == 1 ? 4 : 0; q < (kHalf == 0 ? 4 : 8); ++q)
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const int8_t* four = a + r * kGroupInputs + 4 * q;
        acc[r] = _mm512_dpbusd_epi32(acc[r], w.quad[q], _mm512_set1_epi32(*reinterpret_cast<const int*>(four)));
      }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) sums[r] = kIsBiased ? _mm512_castsi512_ps(acc[r]) : _mm512_cvtepi32_ps(acc[r]);
  }

  // Codebook entries are not shifted.
  template <const TileFormat& kFormat>
  static Float unshift() {
    return _mm512_set1_ps(kFormat.codebook ? 1.0f : 1.0f / static_cast<float>(1 << (8 - kFormat.bits)));
  }

  static __m128i bytes(const Byte* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
  static Float halves(const Byte* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static Float signed_bytes(const Byte* p) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes(p))); }
  static Float unsigned_bytes(const Byte* p) { return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes(p))); }
  static Float low_nibbles(const Byte* p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_and_si128(bytes(p), _mm_set1_epi8(15))));
  }
  static Float high_nibbles(const Byte* p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_and_si128(_mm_srli_epi16(bytes(p), 4), _mm_set1_epi8(15))));
  }
  static Float mul(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float fma(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  static Float negate(Float a) { return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f)); }
  static Float set1(float a) { return _mm512_set1_ps(a); }
  static Float zero() { return _mm512_setzero_ps(); }
  static void store(float* p, Float a) { _mm512_storeu_ps(p, a); }
  static void prefetch_far(const Byte* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1); }
  static void prefetch_near(const Byte* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_NTA); }
  static void prefetch_all(const Byte* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0); }

  static void quantize_row(const float* row, int64_t num_groups, int64_t row_idx, const ActivationPanel& panel) {
    for (int64_t g = 0; g < num_groups; ++g, row += kGroupInputs) {
      const int64_t i = g * panel.num_rows + row_idx;
      const __m512 x0 = _mm512_loadu_ps(row), x1 = _mm512_loadu_ps(row + 16);
      // Magnitudes are compared as integers, for which NaN is the largest.
      const __m512i most =
          _mm512_max_epi32(_mm512_castps_si512(_mm512_abs_ps(x0)), _mm512_castps_si512(_mm512_abs_ps(x1)));
      const float largest = _mm512_cvtss_f32(_mm512_castsi512_ps(_mm512_set1_epi32(_mm512_reduce_max_epi32(most))));
      const __m512 inverse = _mm512_set1_ps(largest > kSmallestActivation ? 127.0f / largest : 0.0f);
      const __m512i q0 = _mm512_cvtps_epi32(_mm512_mul_ps(x0, inverse)),
                    q1 = _mm512_cvtps_epi32(_mm512_mul_ps(x1, inverse));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(panel.quants + i * kGroupInputs), _mm512_cvtsepi32_epi8(q0));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(panel.quants + i * kGroupInputs + 16), _mm512_cvtsepi32_epi8(q1));
      const uint32_t sum0 = _mm512_reduce_add_epi32(q0), sum1 = _mm512_reduce_add_epi32(q1);
      write_group_sums(panel, i, largest / 127.0f, sum0, sum1);
      write_group_starts(panel, i, sum0, sum1, std::bit_cast<uint32_t>(kSumBias));
    }
  }
};

}  // namespace
}  // namespace retort::avx512
