// Magnitudes compared by their bits, for code compiled for the baseline: a NaN is larger than infinity, which is larger
// than every number, where a maximum of floats may lose the NaN.
#pragma once

#include <stdint.h>
#include <string.h>

namespace retort {

inline uint32_t magnitude_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return bits & 0x7fffffff;
}

// The largest |x[i]|; NaN if one is NaN.
inline float largest_magnitude(const float* x, int size) {
  uint32_t bits = 0;
  for (int i = 0; i < size; ++i) bits = magnitude_bits(x[i]) > bits ? magnitude_bits(x[i]) : bits;
  float largest;
  memcpy(&largest, &bits, 4);
  return largest;
}

}  // namespace retort
