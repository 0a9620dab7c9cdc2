// What the policies of tile_rows.h for AVX2 and AVX-VNNI share: two vectors of 8 outputs a tile.
//
// In an unnamed namespace: files compiled for different instruction sets include this, and none may get another's copy.
#pragma once

#include <immintrin.h>

#include "kernels/tile_rows.h"

namespace retort::avx2 {
namespace {

using Byte = unsigned char;

// Bits of x moved left (right where negative) and masked: bits that crossed a byte fall to the mask.
template <int kLeft, int kMask>
inline __m256i field(__m256i x) {
  const __m256i moved =
      kLeft >= 0 ? _mm256_slli_epi16(x, kLeft >= 0 ? kLeft : 0) : _mm256_srli_epi16(x, kLeft < 0 ? -kLeft : 0);
  return _mm256_and_si256(moved, _mm256_set1_epi8(static_cast<char>(kMask)));
}

template <int kLeft, int kMask>
inline __m256i or_field(__m256i base, __m256i x) {
  return _mm256_or_si256(base, field<kLeft, kMask>(x));
}

inline __m256i load(const Byte* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

inline __m256i broadcast_quad(const int8_t* a) { return _mm256_set1_epi32(*reinterpret_cast<const int*>(a)); }

// IQ4_NL's values + 128, in both lanes, for a shuffle.
inline __m256i codebook() {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(kIq4Values)));
}

// Inputs 4 · kQuad … + 3 of 8 outputs, as they are stored, each moved up by kUp bits in its byte.
template <const TileFormat& kFormat, int kQuad, int kUp>
inline __m256i stored_quad(const Byte* planes) {
  constexpr int kBits = kFormat.bits;
  if constexpr (kBits == 8) return load(planes + kQuad * 64);
  constexpr int kTwoAt = kUp + ((kBits & 4) ? 4 : 0);
  __m256i q = _mm256_setzero_si256();
  if constexpr ((kBits & 4) != 0) {
    q = field < kUp - (kQuad < 4 ? 0 : 4), (15 << kUp) & 255 > (load(planes + kQuad % 4 * 64));
    planes += 256;
  }
  if constexpr ((kBits & 2) != 0) {
    q = or_field < kTwoAt - 2 * (kQuad / 2), (3 << kTwoAt) & 255 > (q, load(planes + kQuad % 2 * 64));
    planes += 128;
  }
  if constexpr ((kBits & 1) != 0) q = or_field<kUp + kBits - 1 - kQuad, 1 << (kUp + kBits - 1)>(q, load(planes));
  return q;
}

struct Quants {
  __m256i quad[8];  // inputs 4q … 4q+3 of 8 outputs
};

// 32 floats as quants, and what they came from.
struct QuantizedGroup {
  __m256i quants;    // bytes, in order
  __m256i words[4];  // the same, 8 inputs each
  float largest;     // magnitude
};

struct TileBase {
  static constexpr int kParts = 2, kMaxRows = 2, kPanelRows = 16;
  static constexpr int rows_at_once(int, bool) { return 1; }
  using Float = __m256;
  using Quants = avx2::Quants;

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

  static QuantizedGroup quantize_group(const float* inputs) {
    // Magnitudes are compared as integers, for which NaN is the largest.
    const __m256i no_sign = _mm256_set1_epi32(0x7fffffff);
    __m256 x[4];
    __m256i most = _mm256_setzero_si256();
    for (int v = 0; v < 4; ++v) {
      x[v] = _mm256_loadu_ps(inputs + 8 * v);
      most = _mm256_max_epi32(most, _mm256_and_si256(no_sign, _mm256_castps_si256(x[v])));
    }
    QuantizedGroup group;
    group.largest = reduce_max_bits(most);
    const __m256 inverse = _mm256_set1_ps(group.largest > kSmallestActivation ? 127.0f / group.largest : 0.0f);
    __m256i(&q)[4] = group.words;
    for (int v = 0; v < 4; ++v) q[v] = _mm256_cvtps_epi32(_mm256_mul_ps(x[v], inverse));
    // Packing works inside 128-bit lanes; the permutation brings the 8 words of 4 bytes back in order.
    const __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    group.quants = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    return group;
  }
};

struct F32 {
  static constexpr int kBytes = 64, kInputs = 1;
  static __m256 read(const Byte* p, int part, int) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(p) + 8 * part);
  }
};
struct F16 {
  static constexpr int kBytes = 32, kInputs = 1;
  static __m256 read(const Byte* p, int part, int) { return TileBase::halves(p + 16 * part); }
};
struct BF16 {
  static constexpr int kBytes = 64, kInputs = 2;
  static __m256 read(const Byte* p, int part, int j) {
    const __m256i pair = load(p + 32 * part);
    return _mm256_castsi256_ps(j == 0 ? _mm256_slli_epi32(pair, 16)
                                      : _mm256_and_si256(pair, _mm256_set1_epi32(-65536)));
  }
};

}  // namespace
}  // namespace retort::avx2
