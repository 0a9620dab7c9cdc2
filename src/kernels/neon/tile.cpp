// Tile kernels for aarch64 with the dot-product extension.
#include "kernels/neon/tile_vector.h"

namespace retort::neon {
namespace {

struct F32 {
  static constexpr int kBytes = 64, kInputs = 1;
  static float32x4_t read(const Byte* p, int part, int) {
    return vld1q_f32(reinterpret_cast<const float*>(p) + 4 * part);
  }
};
struct F16 {
  static constexpr int kBytes = 32, kInputs = 1;
  static float32x4_t read(const Byte* p, int part, int) { return TileVector::halves(p + 8 * part); }
};
struct BF16 {
  static constexpr int kBytes = 64, kInputs = 2;
  static float32x4_t read(const Byte* p, int part, int j) {
    const uint32x4_t pair = vreinterpretq_u32_u8(vld1q_u8(p + 16 * part));
    return vreinterpretq_f32_u32(j == 0 ? vshlq_n_u32(pair, 16) : vandq_u32(pair, vdupq_n_u32(0xffff0000u)));
  }
};

}  // namespace
}  // namespace retort::neon

namespace retort {
const TileKernels kNeonDotprodTileKernels = make_tile_kernels<neon::TileVector, neon::F32, neon::F16, neon::BF16>();
}  // namespace retort
