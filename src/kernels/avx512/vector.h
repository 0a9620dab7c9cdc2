// Sixteen floats. What the loops shared by instruction sets (elementwise_loops.h, attention_loops.h) are written in.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace retort::avx512 {

struct Vector {
  static constexpr int kWidth = 16;
  // Attention's register blocks: 12 × 2 accumulators, two vectors of keys or values, one broadcast: 27 of 32 registers.
  static constexpr int kMaxQueries = 12, kKeyVectors = 2, kDimVectors = 2;

  __m512 v;

  static Vector zero() { return {_mm512_setzero_ps()}; }
  static Vector broadcast(float x) { return {_mm512_set1_ps(x)}; }
  static Vector load(const float* p) { return {_mm512_loadu_ps(p)}; }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  // The first n floats (0 < n < kWidth); lanes beyond are 0, and memory beyond is not touched.
  static Vector load_first(const float* p, int n) { return {_mm512_maskz_loadu_ps(first_lanes(n), p)}; }
  void store_first(float* p, int n) const { _mm512_mask_storeu_ps(p, first_lanes(n), v); }

  static Vector add(Vector a, Vector b) { return {_mm512_add_ps(a.v, b.v)}; }
  static Vector mul(Vector a, Vector b) { return {_mm512_mul_ps(a.v, b.v)}; }
  static Vector div(Vector a, Vector b) { return {_mm512_div_ps(a.v, b.v)}; }
  static Vector fma(Vector a, Vector b, Vector c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }           // a b + c
  static Vector negated_fma(Vector a, Vector b, Vector c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }  // c - a b
  // When one operand is NaN the result is b.
  static Vector max(Vector a, Vector b) { return {_mm512_max_ps(a.v, b.v)}; }
  static Vector min(Vector a, Vector b) { return {_mm512_min_ps(a.v, b.v)}; }

  static Vector round(Vector a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
  // 2^n for whole n in [-126, 127].
  static Vector power_of_two(Vector n) {
    const __m512i exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23))};
  }
  static Vector zero_where_less(Vector a, Vector b, Vector value) {
    return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_NLT_UQ), value.v)};
  }
  // The first n lanes of a (n may be ≤ 0 or ≥ kWidth), `other` in the rest.
  static Vector keep_first(Vector a, int n, Vector other) {
    return {_mm512_mask_mov_ps(other.v, n <= 0 ? 0 : n >= kWidth ? 0xffff : first_lanes(n), a.v)};
  }

  float sum() const { return _mm512_reduce_add_ps(v); }
  float largest() const { return _mm512_reduce_max_ps(v); }

  // kWidth pairs of bf16, widened: the first of each pair and the second.
  static void load_bf16_pairs(const uint16_t* p, Vector (&out)[2]) { widen(_mm512_loadu_si512(p), out); }
  static void load_bf16_pairs_first(const uint16_t* p, int n, Vector (&out)[2]) {
    widen(_mm512_maskz_loadu_epi32(first_lanes(n), p), out);
  }

  // (a0, a1, a2, a3, …) becomes (a1, a0, a3, a2, …).
  static Vector swap_neighbours(Vector a) { return {_mm512_permute_ps(a.v, 0b10110001)}; }
  // p[0], p[0], p[1], p[1], … of kWidth / 2 floats.
  static Vector load_twice(const float* p) {
    const __m512i index = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    return {_mm512_permutexvar_ps(index, _mm512_castps256_ps512(_mm256_loadu_ps(p)))};
  }
  // -a, a, -a, a, …
  static Vector negate_even(Vector a) { return {_mm512_mask_sub_ps(a.v, 0x5555, _mm512_set1_ps(-0.0f), a.v)}; }

 private:
  static __mmask16 first_lanes(int n) { return static_cast<__mmask16>((1u << n) - 1); }
  static void widen(__m512i raw, Vector (&out)[2]) {
    out[0].v = _mm512_castsi512_ps(_mm512_slli_epi32(raw, 16));
    out[1].v = _mm512_castsi512_ps(_mm512_and_si512(raw, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
  }
};

}  // namespace retort::avx512
