#include "kernels/attention_kernels.h"
#include "kernels/attention_loops.h"
#include "kernels/int8_attention_loops.h"
#include "kernels/neon/vector.h"

namespace retort::neon {
namespace {

// sdot over the high and the low bytes of the coded numbers apart; stored numbers lose their 128 when loaded.
struct Dot {
  // 6 × 2 × 2 sums, two vectors of stored numbers, two of coded ones: 28 of 32 registers.
  static constexpr int kWidth = 4, kMaxQueries = 6, kVectors = 2;
  struct Sum {
    int32x4_t high, low;
  };
  struct Coded {
    int8x16_t high, low;
  };
  using Stored = int8x16_t;

  static Stored load(const uint8_t* p) { return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(p), vdupq_n_u8(128))); }
  static Stored load_first(const uint8_t* p, int) { return load(p); }  // head_dim is a multiple of 8
  static Coded coded(const uint32_t* words, int low_offset) {
    return {vreinterpretq_s8_u32(vdupq_n_u32(words[0])), vreinterpretq_s8_u32(vdupq_n_u32(words[low_offset]))};
  }
  static Sum zero() { return {vdupq_n_s32(0), vdupq_n_s32(0)}; }
  static Sum dot(Sum sum, Stored stored, Coded x) {
    return {vdotq_s32(sum.high, stored, x.high), vdotq_s32(sum.low, stored, x.low)};
  }
  static Vector value(Sum sum, int) { return {vcvtq_f32_s32(vaddq_s32(vshlq_n_s32(sum.high, 8), sum.low))}; }
  static uint32_t code(const float* rounded, uint32_t* words) {
    uint32_t sum = 0;
    for (int i = 0; i < 4; ++i) {  // two fours
      const int32x4_t a = vcvtq_s32_f32(vld1q_f32(rounded + 8 * i)), b = vcvtq_s32_f32(vld1q_f32(rounded + 8 * i + 4));
      sum += static_cast<uint32_t>(vaddvq_s32(vaddq_s32(a, b)));
      const int16x8_t x = vcombine_s16(vmovn_s32(a), vmovn_s32(b));
      vst1_u32(words + 2 * i, vreinterpret_u32_s8(vshrn_n_s16(vaddq_s16(x, vdupq_n_s16(128)), 8)));
      vst1_u32(words + 8 + 2 * i, vreinterpret_u32_s8(vmovn_s16(x)));
    }
    return sum;
  }
};

}  // namespace

const AttentionKernels kAttention = {Vector::kMaxQueries,
                                     AttentionLoops<Vector, F32Store>::step,
                                     AttentionLoops<Vector, Bf16Store>::step,
                                     Int8AttentionLoops<Vector, Dot>::step,
                                     code_as_bytes,
                                     join_states<Vector>};

}  // namespace retort::neon
