// IQ4_NL and IQ4_XS: four bits that choose one of sixteen unevenly spaced values. As in Q4_0, 16 bytes hold 32
// elements, the low halves first.
#include <array>

#include "formats/block_codecs.h"

namespace retort {
namespace {

constexpr std::array<float, 16> kValues = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

void dequantize_32(float scale, const uint8_t* quants, float* out) {
  for (int i = 0; i < 16; ++i) {
    out[i] = scale * kValues[quants[i] & 0xf];
    out[i + 16] = scale * kValues[quants[i] >> 4];
  }
}

}  // namespace

// f16 d; 16 bytes of quants.
void dequantize_iq4_nl(const uint8_t* block, float* out) { dequantize_32(load_f16(block), block + 2, out); }

// f16 d; 2 bytes of the scales' top 2 bits; 4 bytes of their low 4 bits; 128 bytes of quants. Eight parts of 32, their
// scales stored 32 too high.
void dequantize_iq4_xs(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  const auto high_bits = load<uint16_t>(block + 2);
  for (int part = 0; part < 8; ++part) {
    const int low = block[4 + part / 2] >> (4 * (part % 2)) & 0xf;
    const int scale = (low | (high_bits >> (2 * part) & 3) << 4) - 32;
    dequantize_32(d * static_cast<float>(scale), block + 8 + part * 16, out + part * 32);
  }
}

}  // namespace retort
