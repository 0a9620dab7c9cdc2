// Q4_0, Q4_1, Q5_0, Q5_1, Q8_0: 32 elements with one f16 scale d, those ending in _1 with an f16 offset m after it.
// Byte i of four-bit quants holds element i in its low half and element i + 16 in its high half.
#include "formats/block_codecs.h"

namespace retort {
namespace {

constexpr int kElements = 32;

int nibble(const uint8_t* quants, int element) {
  return element < kElements / 2 ? quants[element] & 0xf : quants[element - kElements / 2] >> 4;
}

// The fifth bits of a Q5 block lie together in one number, bit i for element i.
int five_bits(const uint8_t* quants, uint32_t fifth_bits, int element) {
  return nibble(quants, element) | static_cast<int>((fifth_bits >> element) & 1u) << 4;
}

}  // namespace

// f16 d; 16 bytes of quants.
void dequantize_q4_0(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  for (int i = 0; i < kElements; ++i) out[i] = d * static_cast<float>(nibble(block + 2, i) - 8);
}

// f16 d; f16 m; 16 bytes of quants.
void dequantize_q4_1(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  const float m = load_f16(block + 2);
  for (int i = 0; i < kElements; ++i) out[i] = d * static_cast<float>(nibble(block + 4, i)) + m;
}

// f16 d; 4 bytes of fifth bits; 16 bytes of quants.
void dequantize_q5_0(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  const auto fifth_bits = load<uint32_t>(block + 2);
  for (int i = 0; i < kElements; ++i) out[i] = d * static_cast<float>(five_bits(block + 6, fifth_bits, i) - 16);
}

// f16 d; f16 m; 4 bytes of fifth bits; 16 bytes of quants.
void dequantize_q5_1(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  const float m = load_f16(block + 2);
  const auto fifth_bits = load<uint32_t>(block + 4);
  for (int i = 0; i < kElements; ++i) out[i] = d * static_cast<float>(five_bits(block + 8, fifth_bits, i)) + m;
}

// f16 d; 32 signed bytes.
void dequantize_q8_0(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  for (int i = 0; i < kElements; ++i) out[i] = d * static_cast<float>(static_cast<int8_t>(block[2 + i]));
}

}  // namespace retort
