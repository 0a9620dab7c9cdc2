// Rounds of a product of signed bytes, for the two sets of aarch64.
//
// In an unnamed namespace: files compiled for different instruction sets include this, and none may get another's copy.
#pragma once

#include <arm_neon.h>

#include "kernels/peak_loop.h"

namespace retort {
namespace {

template <class Product>
int32_t run_rounds(int64_t rounds, Product product) {
  int32x4_t acc[12];
  for (auto& sum : acc) sum = vdupq_n_s32(0);
  const int8x16_t w = vdupq_n_s8(3), a = vdupq_n_s8(-2);
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) {
      acc[j] = product(acc[j], w, a);
      asm volatile("" : "+w"(acc[j]));
    }
  }
  for (int j = 1; j < 12; ++j) acc[0] = vaddq_s32(acc[0], acc[j]);
  return vaddvq_s32(acc[0]);
}

}  // namespace
}  // namespace retort
