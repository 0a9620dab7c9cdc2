// Four floats. What the loops shared by instruction sets (elementwise_loops.h, attention_loops.h) are written in.
#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace retort::neon {

struct Vector {
  static constexpr int kWidth = 4;
  // Attention's register blocks: 6 × 4 accumulators, four vectors of keys or values, one broadcast: 29 of 32 registers.
  static constexpr int kMaxQueries = 6, kKeyVectors = 4, kDimVectors = 4;

  float32x4_t v;

  static Vector zero() { return {vdupq_n_f32(0)}; }
  static Vector broadcast(float x) { return {vdupq_n_f32(x)}; }
  static Vector load(const float* p) { return {vld1q_f32(p)}; }
  void store(float* p) const { vst1q_f32(p, v); }
  // The first n floats (0 < n < kWidth); lanes beyond are 0, and memory beyond is not touched.
  static Vector load_first(const float* p, int n) {
    float lanes[kWidth] = {};
    for (int i = 0; i < n; ++i) lanes[i] = p[i];
    return load(lanes);
  }
  void store_first(float* p, int n) const {
    float lanes[kWidth];
    store(lanes);
    for (int i = 0; i < n; ++i) p[i] = lanes[i];
  }

  static Vector add(Vector a, Vector b) { return {vaddq_f32(a.v, b.v)}; }
  static Vector mul(Vector a, Vector b) { return {vmulq_f32(a.v, b.v)}; }
  static Vector div(Vector a, Vector b) { return {vdivq_f32(a.v, b.v)}; }
  static Vector fma(Vector a, Vector b, Vector c) { return {vfmaq_f32(c.v, a.v, b.v)}; }          // a b + c
  static Vector negated_fma(Vector a, Vector b, Vector c) { return {vfmsq_f32(c.v, a.v, b.v)}; }  // c - a b
  // When one operand is NaN the result is NaN.
  static Vector max(Vector a, Vector b) { return {vmaxq_f32(a.v, b.v)}; }
  static Vector min(Vector a, Vector b) { return {vminq_f32(a.v, b.v)}; }

  static Vector round(Vector a) { return {vrndnq_f32(a.v)}; }
  // 2^n for whole n in [-126, 127].
  static Vector power_of_two(Vector n) {
    const int32x4_t exponent = vaddq_s32(vcvtq_s32_f32(n.v), vdupq_n_s32(127));
    return {vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23))};
  }
  static Vector zero_where_less(Vector a, Vector b, Vector value) {
    return {vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(value.v), vcltq_f32(a.v, b.v)))};
  }
  // The first n lanes of a (n may be ≤ 0 or ≥ kWidth), `other` in the rest.
  static Vector keep_first(Vector a, int n, Vector other) {
    const int32x4_t lane = {0, 1, 2, 3};
    return {vbslq_f32(vcltq_s32(lane, vdupq_n_s32(n)), a.v, other.v)};
  }

  float sum() const { return vaddvq_f32(v); }
  float largest() const { return vmaxvq_f32(v); }

  // kWidth pairs of bf16, widened: the first of each pair and the second.
  static void load_bf16_pairs(const uint16_t* p, Vector (&out)[2]) {
    const uint32x4_t raw = vreinterpretq_u32_u16(vld1q_u16(p));
    out[0].v = vreinterpretq_f32_u32(vshlq_n_u32(raw, 16));
    out[1].v = vreinterpretq_f32_u32(vandq_u32(raw, vdupq_n_u32(0xffff0000u)));
  }

  // (a0, a1, a2, a3, …) becomes (a1, a0, a3, a2, …).
  static Vector swap_neighbours(Vector a) { return {vrev64q_f32(a.v)}; }
  // p[0], p[0], p[1], p[1], … of kWidth / 2 floats.
  static Vector load_twice(const float* p) {
    const float32x2_t x = vld1_f32(p);
    return {vcombine_f32(vdup_lane_f32(x, 0), vdup_lane_f32(x, 1))};
  }
  // -a, a, -a, a, …
  static Vector negate_even(Vector a) {
    const uint32x4_t signs = {0x80000000u, 0, 0x80000000u, 0};
    return {vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(a.v), signs))};
  }
};

}  // namespace retort::neon
