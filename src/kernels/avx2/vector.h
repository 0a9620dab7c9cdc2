// Eight floats. What the loops shared by instruction sets (elementwise_loops.h, attention_loops.h) are written in.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace retort::avx2 {

struct Vector {
  static constexpr int kWidth = 8;
  // Attention's register blocks: 6 × 2 accumulators, two vectors of keys or values, one broadcast: 15 of 16 registers.
  static constexpr int kMaxQueries = 6, kKeyVectors = 2, kDimVectors = 2;

  __m256 v;

  static Vector zero() { return {_mm256_setzero_ps()}; }
  static Vector broadcast(float x) { return {_mm256_set1_ps(x)}; }
  static Vector load(const float* p) { return {_mm256_loadu_ps(p)}; }
  void store(float* p) const { _mm256_storeu_ps(p, v); }
  // The first n floats (0 < n < kWidth); lanes beyond are 0, and memory beyond is not touched.
  static Vector load_first(const float* p, int n) { return {_mm256_maskload_ps(p, first_lanes(n))}; }
  void store_first(float* p, int n) const { _mm256_maskstore_ps(p, first_lanes(n), v); }

  static Vector add(Vector a, Vector b) { return {_mm256_add_ps(a.v, b.v)}; }
  static Vector mul(Vector a, Vector b) { return {_mm256_mul_ps(a.v, b.v)}; }
  static Vector div(Vector a, Vector b) { return {_mm256_div_ps(a.v, b.v)}; }
  static Vector fma(Vector a, Vector b, Vector c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }           // a b + c
  static Vector negated_fma(Vector a, Vector b, Vector c) { return {_mm256_fnmadd_ps(a.v, b.v, c.v)}; }  // c - a b
  // When one operand is NaN the result is b.
  static Vector max(Vector a, Vector b) { return {_mm256_max_ps(a.v, b.v)}; }
  static Vector min(Vector a, Vector b) { return {_mm256_min_ps(a.v, b.v)}; }

  static Vector round(Vector a) { return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
  // 2^n for whole n in [-126, 127].
  static Vector power_of_two(Vector n) {
    const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23))};
  }
  static Vector zero_where_less(Vector a, Vector b, Vector value) {
    return {_mm256_andnot_ps(_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ), value.v)};
  }
  // The first n lanes of a (n may be ≤ 0 or ≥ kWidth), `other` in the rest.
  static Vector keep_first(Vector a, int n, Vector other) {
    return {_mm256_blendv_ps(other.v, a.v, _mm256_castsi256_ps(first_lanes(n)))};
  }

  float sum() const {
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
  }
  float largest() const {
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
  }

  // kWidth pairs of bf16, widened: the first of each pair and the second.
  static void load_bf16_pairs(const uint16_t* p, Vector (&out)[2]) {
    const __m256i raw = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    out[0].v = _mm256_castsi256_ps(_mm256_slli_epi32(raw, 16));
    out[1].v = _mm256_castsi256_ps(_mm256_and_si256(raw, _mm256_set1_epi32(static_cast<int>(0xffff0000u))));
  }

  // (a0, a1, a2, a3, …) becomes (a1, a0, a3, a2, …).
  static Vector swap_neighbours(Vector a) { return {_mm256_permute_ps(a.v, 0b10110001)}; }
  // p[0], p[0], p[1], p[1], … of kWidth / 2 floats.
  static Vector load_twice(const float* p) {
    const __m256i index = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    return {_mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), index)};
  }
  // -a, a, -a, a, …
  static Vector negate_even(Vector a) {
    return {_mm256_xor_ps(a.v, _mm256_setr_ps(-0.0f, 0, -0.0f, 0, -0.0f, 0, -0.0f, 0))};
  }

 private:
  static __m256i first_lanes(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
};

}  // namespace retort::avx2
