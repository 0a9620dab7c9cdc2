// IEEE half to float without hardware, for code compiled for the baseline.
#pragma once

#include <stdint.h>
#include <string.h>

namespace retort {

inline float half_to_float(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  float value;
  if (exponent == 0) {
    value = static_cast<float>(mantissa) * 0x1p-24f;  // zero and subnormals, exactly
    return sign != 0 ? -value : value;
  }
  const uint32_t word = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | mantissa << 13;
  memcpy(&value, &word, 4);
  return value;
}

}  // namespace retort
