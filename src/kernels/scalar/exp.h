// vector_exp.h, one float at a time.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/vector_exp.h"

namespace retort::scalar {

inline float exp(float x) {
  using namespace exp_constants;
  if (x < kLowest) return 0;
  if (x > kHighest) x = kHighest;
  if (x != x) return x;
  constexpr float kRounder = 0x1.8p23f;  // adding it drops the fraction, to nearest even
  const float n = (x * kLog2E + kRounder) - kRounder;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  constexpr float kCoefficients[] = {kP5, kP4, kP3, kP2, 1.0f, 1.0f};
  float p = kP6;
  for (float coefficient : kCoefficients) p = p * r + coefficient;
  const uint32_t power_bits = static_cast<uint32_t>(static_cast<int32_t>(n) + 127) << 23;
  float power;
  std::memcpy(&power, &power_bits, sizeof power);
  return p * power;
}

}  // namespace retort::scalar
