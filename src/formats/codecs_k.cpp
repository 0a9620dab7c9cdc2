// Q2_K to Q6_K: 256 elements in parts of 16 or 32, each part with a small integer scale (and offset), and one f16 d
// (and dmin) over all of them.
#include "formats/block_codecs.h"

namespace retort {
namespace {

constexpr int kElements = 256;

// Two-bit quants of Q2_K, Q3_K and the high bits of Q6_K: each 32 bytes hold 128 elements, four layers of 32.
int two_bits(const uint8_t* quants, int element) {
  const int half = element / 128;
  const int layer = element % 128 / 32;
  return quants[half * 32 + element % 32] >> (2 * layer) & 3;
}

// Four-bit quants of Q4_K and Q5_K: each 32 bytes hold 64 elements, the low halves first.
int four_bits(const uint8_t* quants, int element) {
  const int pair = element / 64;
  const int layer = element % 64 / 32;
  return quants[pair * 32 + element % 32] >> (4 * layer) & 0xf;
}

// Single bits of Q3_K and Q5_K: 32 bytes hold 256 elements, eight layers of 32.
int one_bit(const uint8_t* bits, int element) { return bits[element % 32] >> (element / 32) & 1; }

struct ScaleAndMin {
  int scale;
  int min;
};

// The 12 bytes of Q4_K and Q5_K hold eight 6-bit scales and eight 6-bit minima: those of parts 0 to 3 in the low 6 bits
// of bytes 0 to 3 and 4 to 7; those of parts 4 to 7 in the halves of bytes 8 to 11, with their top 2 bits in the top of
// the bytes of parts 0 to 3.
ScaleAndMin scale_and_min(const uint8_t* packed, int part) {
  if (part < 4) return {packed[part] & 0x3f, packed[part + 4] & 0x3f};
  const uint8_t low = packed[part + 4];
  return {(low & 0xf) | (packed[part - 4] >> 2 & 0x30), low >> 4 | (packed[part] >> 2 & 0x30)};
}

// The 12 bytes of Q3_K hold sixteen 6-bit scales, stored 32 too high: low halves in bytes 0 to 7, top 2 bits in 8
// to 11.
int q3_k_scale(const uint8_t* packed, int part) {
  const int low = packed[part % 8] >> (4 * (part / 8)) & 0xf;
  const int high = packed[8 + part % 4] >> (2 * (part / 4)) & 3;
  return (low | high << 4) - 32;
}

}  // namespace

// 16 bytes of scale (low half) and min (high half); 64 bytes of quants; f16 d; f16 dmin. Parts of 16.
void dequantize_q2_k(const uint8_t* block, float* out) {
  const uint8_t* quants = block + 16;
  const float d = load_f16(block + 80);
  const float dmin = load_f16(block + 82);
  for (int part = 0; part < 16; ++part) {
    const float scale = d * static_cast<float>(block[part] & 0xf);
    const float min = dmin * static_cast<float>(block[part] >> 4);
    for (int i = part * 16; i < (part + 1) * 16; ++i) out[i] = scale * static_cast<float>(two_bits(quants, i)) - min;
  }
}

// 32 bytes of third bits (1: no offset, 0: minus 4); 64 bytes of quants; 12 bytes of scales; f16 d. Parts of 16.
void dequantize_q3_k(const uint8_t* block, float* out) {
  const uint8_t* third_bits = block;
  const uint8_t* quants = block + 32;
  const float d = load_f16(block + 108);
  for (int part = 0; part < 16; ++part) {
    const float scale = d * static_cast<float>(q3_k_scale(block + 96, part));
    for (int i = part * 16; i < (part + 1) * 16; ++i) {
      const int quant = two_bits(quants, i) - 4 * (1 - one_bit(third_bits, i));
      out[i] = scale * static_cast<float>(quant);
    }
  }
}

// f16 d; f16 dmin; 12 bytes of scales and mins; 128 bytes of quants. Parts of 32.
void dequantize_q4_k(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  const float dmin = load_f16(block + 2);
  const uint8_t* quants = block + 16;
  for (int part = 0; part < 8; ++part) {
    const auto [part_scale, part_min] = scale_and_min(block + 4, part);
    const float scale = d * static_cast<float>(part_scale);
    const float min = dmin * static_cast<float>(part_min);
    for (int i = part * 32; i < (part + 1) * 32; ++i) out[i] = scale * static_cast<float>(four_bits(quants, i)) - min;
  }
}

// f16 d; f16 dmin; 12 bytes of scales and mins; 32 bytes of fifth bits; 128 bytes of quants. Parts of 32.
void dequantize_q5_k(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  const float dmin = load_f16(block + 2);
  const uint8_t* fifth_bits = block + 16;
  const uint8_t* quants = block + 48;
  for (int part = 0; part < 8; ++part) {
    const auto [part_scale, part_min] = scale_and_min(block + 4, part);
    const float scale = d * static_cast<float>(part_scale);
    const float min = dmin * static_cast<float>(part_min);
    for (int i = part * 32; i < (part + 1) * 32; ++i) {
      const int quant = four_bits(quants, i) | one_bit(fifth_bits, i) << 4;
      out[i] = scale * static_cast<float>(quant) - min;
    }
  }
}

// 128 bytes of low four bits; 64 bytes of high two bits; 16 signed scales; f16 d. Parts of 16, quants stored 32 too
// high.
void dequantize_q6_k(const uint8_t* block, float* out) {
  const uint8_t* low_bits = block;
  const uint8_t* high_bits = block + 128;
  const float d = load_f16(block + 208);
  for (int i = 0; i < kElements; ++i) {
    // Unlike Q4_K, 64 bytes hold 128 elements: the low halves are the first 64.
    const int low = low_bits[i / 128 * 64 + i % 64] >> (4 * (i % 128 / 64)) & 0xf;
    const int quant = (low | two_bits(high_bits, i) << 4) - 32;
    const float scale = d * static_cast<float>(static_cast<int8_t>(block[192 + i / 16]));
    out[i] = scale * static_cast<float>(quant);
  }
}

}  // namespace retort
