// The policy of tile_rows.h for aarch64 with the dot-product extension (Cortex-A76 and later); what i8mm unpacks and
// scales with as well. sdot multiplies signed bytes: quants of up to 6 bits are as they are, 8-bit ones lose their
// offset of 128 when they are read.
//
// In an unnamed namespace: files compiled for different instruction sets include this, and none may get another's copy.
#pragma once

#include <arm_neon.h>

#include "kernels/tile_rows.h"

namespace retort::neon {
namespace {

using Byte = unsigned char;

template <int kLeft, int kMask>
inline uint8x16_t field(uint8x16_t x) {
  return vandq_u8(vshlq_u8(x, vdupq_n_s8(kLeft)), vdupq_n_u8(kMask));
}

constexpr bool is_signed(const TileFormat& format) { return format.bits == 8 || format.codebook; }

struct TileVector {
  static constexpr int kParts = 4, kMaxRows = 4, kPanelRows = 8;
  static constexpr int rows_at_once(int, bool) { return 1; }
  static constexpr float kSumBias = 0;
  using Float = float32x4_t;
  struct Quants {
    int8x16_t quad[8];  // inputs 4q … 4q+3 of 4 outputs
  };

  template <const TileFormat& kFormat, int kQuad>
  static int8x16_t quad(const Byte* planes) {
    constexpr int kBits = kFormat.bits;
    if constexpr (kBits == 8) {
      return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(planes + kQuad * 64), vdupq_n_u8(128)));
    } else if constexpr (kFormat.codebook) {
      const uint8x16_t table = veorq_u8(vld1q_u8(kIq4Values), vdupq_n_u8(128));
      return vreinterpretq_s8_u8(vqtbl1q_u8(table, field < kQuad<4 ? 0 : -4, 15>(vld1q_u8(planes + kQuad % 4 * 64))));
    } else {
      constexpr int kTwoAt = (kBits & 4) ? 4 : 0, kOneAt = kBits - 1;
      uint8x16_t q = vdupq_n_u8(0);
      if constexpr ((kBits & 4) != 0) {
        q = field < kQuad<4 ? 0 : -4, 15>(vld1q_u8(planes + kQuad % 4 * 64));
        planes += 256;
      }
      if constexpr ((kBits & 2) != 0) {
        q = vorrq_u8(q, field<kTwoAt - 2 * (kQuad / 2), 3 << kTwoAt>(vld1q_u8(planes + kQuad % 2 * 64)));
        planes += 128;
      }
      if constexpr ((kBits & 1) != 0) q = vorrq_u8(q, field<kOneAt - kQuad, 1 << kOneAt>(vld1q_u8(planes)));
      return vreinterpretq_s8_u8(q);
    }
  }

  template <const TileFormat& kFormat>
  static Quants unpack(const Byte* group, int part) {
    group += 16 * part;
    return {{quad<kFormat, 0>(group), quad<kFormat, 1>(group), quad<kFormat, 2>(group), quad<kFormat, 3>(group),
             quad<kFormat, 4>(group), quad<kFormat, 5>(group), quad<kFormat, 6>(group), quad<kFormat, 7>(group)}};
  }

  // What the sum of a group or half group starts from. zero = 128 >> shift, so zero · Σa = (128 · Σa) >> shift exactly.
  template <const TileFormat& kFormat>
  static int32_t start(int32_t neg_sum) {
    constexpr int kShift = kFormat.zero == 4    ? 5
                           : kFormat.zero == 8  ? 4
                           : kFormat.zero == 16 ? 3
                           : kFormat.zero == 32 ? 2
                                                : 0;
    return kFormat.zero != 0 && !is_signed(kFormat) ? neg_sum >> kShift : 0;
  }

  static int32x4_t dot4(int32x4_t acc, const int8x16_t* w, int8x16_t a) {
    acc = vdotq_laneq_s32(acc, w[0], a, 0);
    acc = vdotq_laneq_s32(acc, w[1], a, 1);
    acc = vdotq_laneq_s32(acc, w[2], a, 2);
    return vdotq_laneq_s32(acc, w[3], a, 3);
  }

  template <const TileFormat& kFormat, int kHalf, int kRows>
  static void sum(const Quants& w, const int8_t* a, const int32_t* starts, int, Float (&sums)[kRows]) {
    static_assert(kRows == 1);
    int32x4_t acc = vdupq_n_s32(start<kFormat>(starts[0]));
    if constexpr (kHalf != 1) acc = dot4(acc, w.quad, vld1q_s8(a));
    if constexpr (kHalf != 0) acc = dot4(acc, w.quad + 4, vld1q_s8(a + 16));
    sums[0] = vcvtq_f32_s32(acc);
  }

  template <const TileFormat& kFormat>
  static Float unshift() {
    return vdupq_n_f32(1.0f);
  }

  static uint32x4_t four(const Byte* p) {
    uint32_t word;
    __builtin_memcpy(&word, p, 4);
    return vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(word))));
  }
  static Float halves(const Byte* p) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p))); }
  static Float signed_bytes(const Byte* p) {
    uint32_t word;
    __builtin_memcpy(&word, p, 4);
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(word)))));
  }
  static Float unsigned_bytes(const Byte* p) { return vcvtq_f32_u32(four(p)); }
  static Float low_nibbles(const Byte* p) { return vcvtq_f32_u32(vandq_u32(four(p), vdupq_n_u32(15))); }
  static Float high_nibbles(const Byte* p) { return vcvtq_f32_u32(vshrq_n_u32(four(p), 4)); }
  static Float mul(Float a, Float b) { return vmulq_f32(a, b); }
  static Float fma(Float a, Float b, Float c) { return vfmaq_f32(c, a, b); }
  static Float negate(Float a) { return vnegq_f32(a); }
  static Float set1(float a) { return vdupq_n_f32(a); }
  static Float zero() { return vdupq_n_f32(0); }
  static void store(float* p, Float a) { vst1q_f32(p, a); }
  static void prefetch_far(const Byte* p) { __builtin_prefetch(p, 0, 2); }
  static void prefetch_near(const Byte* p) { __builtin_prefetch(p, 0, 0); }
  static void prefetch_all(const Byte* p) { __builtin_prefetch(p, 0, 3); }

  static void quantize_row(const float* row, int64_t num_groups, int64_t row_idx, const ActivationPanel& panel) {
    quantize(row, num_groups, row_idx, panel, panel.quants + row_idx * kGroupInputs, 8);
  }

 protected:
  // Eights of quants go to `quants`, `step` bytes apart; those of the next group begin num_rows · 32 bytes further on.
  static void quantize(const float* row, int64_t num_groups, int64_t row_idx, const ActivationPanel& panel,
                       int8_t* quants, int64_t step) {
    for (int64_t g = 0; g < num_groups; ++g, row += kGroupInputs, quants += panel.num_rows * kGroupInputs) {
      const int64_t i = g * panel.num_rows + row_idx;
      float32x4_t most = vdupq_n_f32(0);
      for (int v = 0; v < 8; ++v) most = vmaxq_f32(most, vabsq_f32(vld1q_f32(row + 4 * v)));
      const float largest = vmaxvq_f32(most);  // NaN if one is NaN, as vmaxq
      const float inverse = largest > kSmallestActivation ? 127.0f / largest : 0.0f;
      uint32_t sum[2] = {0, 0};
      for (int v = 0; v < 8; v += 2) {
        const int32x4_t low = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(row + 4 * v), inverse));
        const int32x4_t high = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(row + 4 * v + 4), inverse));
        vst1_s8(quants + v / 2 * step, vqmovn_s16(vcombine_s16(vqmovn_s32(low), vqmovn_s32(high))));
        sum[v / 4] += vaddvq_s32(vaddq_s32(low, high));
      }
      write_group_sums(panel, i, largest / 127.0f, sum[0], sum[1]);
      write_group_starts(panel, i, sum[0], sum[1]);
    }
  }
};

}  // namespace
}  // namespace retort::neon
