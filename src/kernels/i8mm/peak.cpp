#include <arm_neon.h>

#include "kernels/peak_loop.h"

namespace retort {
namespace {

int32_t run(int64_t rounds) {
  int32x4_t acc[12];
  for (auto& sum : acc) sum = vdupq_n_s32(0);
  const int8x16_t w = vdupq_n_s8(3), a = vdupq_n_s8(-2);
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) {
      acc[j] = vmmlaq_s32(acc[j], w, a);
      asm volatile("" : "+w"(acc[j]));
    }
  }
  for (int j = 1; j < 12; ++j) acc[0] = vaddq_s32(acc[0], acc[j]);
  return vaddvq_s32(acc[0]);
}

}  // namespace

const PeakLoop kNeonI8mmPeakLoop = {12 * 32 * 2, run};

}  // namespace retort
