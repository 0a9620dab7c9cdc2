// Dequantisation, bit for bit as PyPI's `gguf` (gguf/quants.py) does it. The specification every kernel is held
// against.
#pragma once

#include <span>

#include "formats/tensor_type.h"

namespace retort {

float f16_to_f32(uint16_t bits);
uint16_t f32_to_f16(float value);  // round to nearest even
float bf16_to_f32(uint16_t bits);
uint16_t f32_to_bf16(float value);  // round to nearest even; NaN stays NaN

// in: whole blocks of `type`; out: as many floats as they hold. Sizes are the caller's to have checked (RETORT_CHECK).
void dequantize(TensorType type, std::span<const std::byte> in, std::span<float> out);

}  // namespace retort
