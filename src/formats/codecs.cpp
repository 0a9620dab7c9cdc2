#include "formats/codecs.h"

#include <bit>

#include "formats/block_codecs.h"

namespace retort {
namespace {

constexpr uint32_t kF32Infinity = 0x7f800000;

template <class Block>
void each_block(const TensorTypeInfo& info, const uint8_t* in, std::span<float> out, Block&& dequantize_block) {
  for (size_t begin = 0; begin < out.size(); begin += info.block_elements, in += info.block_bytes) {
    dequantize_block(in, out.data() + begin);
  }
}

}  // namespace

float f16_to_f32(uint16_t bits) {
  constexpr uint32_t kExponent = 0x7c00u << 13;  // of a half float, moved to where a float's exponent ends
  constexpr uint32_t kBiasGap = (127u - 15u) << 23;
  const uint32_t sign = (bits & 0x8000u) << 16;
  const uint32_t magnitude = (bits & 0x7fffu) << 13;
  const uint32_t exponent = magnitude & kExponent;
  if (exponent == kExponent) return std::bit_cast<float>(sign | kF32Infinity | magnitude);  // infinity or NaN
  if (exponent != 0) return std::bit_cast<float>(sign | (magnitude + kBiasGap));
  // Subnormal: as the mantissa of the smallest normal half, less the 1 that implies. Exact.
  constexpr uint32_t kSmallestNormal = 113u << 23;
  const float value = std::bit_cast<float>(magnitude + kSmallestNormal) - std::bit_cast<float>(kSmallestNormal);
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(value));
}

uint16_t f32_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  const auto with_sign = [sign](uint32_t half) { return static_cast<uint16_t>(sign | half); };
  if (magnitude > kF32Infinity) return with_sign(0x7e00);  // NaN
  if (magnitude >= 0x47800000u) return with_sign(0x7c00);  // 65536 and more
  if (magnitude < 0x38800000u) {
    // Subnormal: adding 0.5 leaves exactly the half's 10 bits in the mantissa, rounded to nearest even by the addition.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return with_sign(std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(0.5f));
  }
  const uint32_t is_odd = (magnitude >> 13) & 1u;
  return with_sign((magnitude - ((127u - 15u) << 23) + 0xfffu + is_odd) >> 13);
}

float bf16_to_f32(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > kF32Infinity) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

void dequantize(TensorType type, std::span<const std::byte> in, std::span<float> out) {
  const TensorTypeInfo& info = info_of(type);
  RETORT_CHECK(out.size() % info.block_elements == 0);
  RETORT_CHECK(in.size() == out.size() / info.block_elements * info.block_bytes);
  if (out.empty()) return;
  const auto* bytes = reinterpret_cast<const uint8_t*>(in.data());
  switch (type) {
    case TensorType::kF32:
      std::memcpy(out.data(), bytes, in.size());
      return;
    case TensorType::kF16:
      return each_block(info, bytes, out, [](const uint8_t* half, float* to) { *to = load_f16(half); });
    case TensorType::kBF16:
      return each_block(info, bytes, out,
                        [](const uint8_t* half, float* to) { *to = bf16_to_f32(load<uint16_t>(half)); });
    case TensorType::kQ4_0:
      return each_block(info, bytes, out, dequantize_q4_0);
    case TensorType::kQ4_1:
      return each_block(info, bytes, out, dequantize_q4_1);
    case TensorType::kQ5_0:
      return each_block(info, bytes, out, dequantize_q5_0);
    case TensorType::kQ5_1:
      return each_block(info, bytes, out, dequantize_q5_1);
    case TensorType::kQ8_0:
      return each_block(info, bytes, out, dequantize_q8_0);
    case TensorType::kQ2_K:
      return each_block(info, bytes, out, dequantize_q2_k);
    case TensorType::kQ3_K:
      return each_block(info, bytes, out, dequantize_q3_k);
    case TensorType::kQ4_K:
      return each_block(info, bytes, out, dequantize_q4_k);
    case TensorType::kQ5_K:
      return each_block(info, bytes, out, dequantize_q5_k);
    case TensorType::kQ6_K:
      return each_block(info, bytes, out, dequantize_q6_k);
    case TensorType::kIQ4_NL:
      return each_block(info, bytes, out, dequantize_iq4_nl);
    case TensorType::kIQ4_XS:
      return each_block(info, bytes, out, dequantize_iq4_xs);
  }
}

}  // namespace retort
