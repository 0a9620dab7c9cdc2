// One function a block format: the floats of one block. Internal to formats/; others call dequantize() of codecs.h.
// The arithmetic is gguf/quants.py's, operation by operation; formats/ is compiled without fusing multiply and add.
#pragma once

#include <cstdint>
#include <cstring>

#include "formats/codecs.h"

namespace retort {

// Blocks of 32 with one scale, some with an offset: codecs_legacy.cpp.
void dequantize_q4_0(const uint8_t* block, float* out);
void dequantize_q4_1(const uint8_t* block, float* out);
void dequantize_q5_0(const uint8_t* block, float* out);
void dequantize_q5_1(const uint8_t* block, float* out);
void dequantize_q8_0(const uint8_t* block, float* out);

// Blocks of 256 with scales of their parts: codecs_k.cpp.
void dequantize_q2_k(const uint8_t* block, float* out);
void dequantize_q3_k(const uint8_t* block, float* out);
void dequantize_q4_k(const uint8_t* block, float* out);
void dequantize_q5_k(const uint8_t* block, float* out);
void dequantize_q6_k(const uint8_t* block, float* out);

// Four bits that index a table of uneven steps: codecs_iq4.cpp.
void dequantize_iq4_nl(const uint8_t* block, float* out);
void dequantize_iq4_xs(const uint8_t* block, float* out);

template <class T>
T load(const uint8_t* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

inline float load_f16(const uint8_t* bytes) { return f16_to_f32(load<uint16_t>(bytes)); }

}  // namespace retort
