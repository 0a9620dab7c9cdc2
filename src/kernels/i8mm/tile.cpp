// Tile kernels for aarch64 with int8 matrix multiplication (Neoverse V1 and N2, Apple M2, Cortex-A510 and later). smmla
// multiplies 2 rows × 8 inputs by 8 inputs × 2 outputs: twice sdot's products. Rows are taken in pairs, whose
// activations lie interleaved in eights of inputs; quads of weights are brought side by side when they are unpacked.
// A few rows go to sdot.
#include "kernels/neon/tile_vector.h"

namespace retort::i8mm {
namespace {

constexpr KernelTuning kTuning = {.nudged_rows = 2, .many_rows_from = 4};

struct PairVector : neon::TileVector {
  static constexpr int rows_at_once(int, bool) { return 2; }
  struct Quants {
    int8x16_t octet[4][2];  // inputs 8e … 8e+7 of outputs 0 and 1, and of 2 and 3
  };

  template <const TileFormat& kFormat>
  static Quants unpack(const unsigned char* group, int part) {
    const auto w = neon::TileVector::unpack<kFormat>(group, part);
    Quants paired;
    for (int e = 0; e < 4; ++e) {
      const int32x4_t first = vreinterpretq_s32_s8(w.quad[2 * e]), second = vreinterpretq_s32_s8(w.quad[2 * e + 1]);
      paired.octet[e][0] = vreinterpretq_s8_s32(vzip1q_s32(first, second));
      paired.octet[e][1] = vreinterpretq_s8_s32(vzip2q_s32(first, second));
    }
    return paired;
  }

  // a: [4 octets][2 rows][8]
  template <const TileFormat& kFormat, int kHalf, int kRows>
  static void sum(const Quants& w, const int8_t* a, const int32_t* starts, int stride, Float (&sums)[kRows]) {
    static_assert(kRows == 2);
    const int32x2_t of_rows = {start<kFormat>(starts[0]), start<kFormat>(starts[stride])};
    int32x4_t acc[2];  // rows 0, 0, 1, 1 of two outputs
    acc[0] = acc[1] = vcombine_s32(vdup_lane_s32(of_rows, 0), vdup_lane_s32(of_rows, 1));
    for (int e = kHalf == 1 ? 2 : 0; e < (kHalf == 0 ? 2 : 4); ++e) {
      const int8x16_t rows = vld1q_s8(a + 16 * e);
      acc[0] = vmmlaq_s32(acc[0], rows, w.octet[e][0]);
      acc[1] = vmmlaq_s32(acc[1], rows, w.octet[e][1]);
    }
    const int64x2_t low = vreinterpretq_s64_s32(acc[0]), high = vreinterpretq_s64_s32(acc[1]);
    sums[0] = vcvtq_f32_s32(vreinterpretq_s32_s64(vzip1q_s64(low, high)));
    sums[1] = vcvtq_f32_s32(vreinterpretq_s32_s64(vzip2q_s64(low, high)));
  }

  static void quantize_row(const float* row, int64_t num_groups, int64_t row_idx, const ActivationPanel& panel) {
    if (!panel.is_many) return neon::TileVector::quantize_row(row, num_groups, row_idx, panel);
    int8_t* pair = panel.quants + row_idx / 2 * 2 * kGroupInputs;
    quantize(row, num_groups, row_idx, panel, pair + row_idx % 2 * 8, 16);
  }
};

template <const TileFormat& kFormat, QuantTileKernel TileKernels::* kFewRows>
void quant_tile(const unsigned char* tile, int64_t num_groups, const ActivationPanel& panel, float* out) {
  if (panel.is_many)
    retort::quant_tile<PairVector, kFormat>(tile, num_groups, panel, out);
  else
    (kNeonDotprodTileKernels.*kFewRows)(tile, num_groups, panel, out);
}

template <FloatTileKernel TileKernels::* kKernel>
void float_tile(const unsigned char* tile, int64_t num_inputs, const float* rows, int64_t stride, int64_t num_rows,
                float* out) {
  (kNeonDotprodTileKernels.*kKernel)(tile, num_inputs, rows, stride, num_rows, out);
}

}  // namespace
}  // namespace retort::i8mm

namespace retort {
using K = TileKernels;
const TileKernels kNeonI8mmTileKernels = {i8mm::quant_tile<kTileQ4_0, &K::q4_0>,
                                          i8mm::quant_tile<kTileQ4_1, &K::q4_1>,
                                          i8mm::quant_tile<kTileQ5_0, &K::q5_0>,
                                          i8mm::quant_tile<kTileQ5_1, &K::q5_1>,
                                          i8mm::quant_tile<kTileQ8_0, &K::q8_0>,
                                          i8mm::quant_tile<kTileQ2_K, &K::q2_k>,
                                          i8mm::quant_tile<kTileQ3_K, &K::q3_k>,
                                          i8mm::quant_tile<kTileQ4_K, &K::q4_k>,
                                          i8mm::quant_tile<kTileQ5_K, &K::q5_k>,
                                          i8mm::quant_tile<kTileQ6_K, &K::q6_k>,
                                          i8mm::quant_tile<kTileIQ4_NL, &K::iq4_nl>,
                                          i8mm::quant_tile<kTileIQ4_XS, &K::iq4_xs>,
                                          i8mm::float_tile<&K::f32>,
                                          i8mm::float_tile<&K::f16>,
                                          i8mm::float_tile<&K::bf16>,
                                          i8mm::PairVector::quantize_row,
                                          i8mm::PairVector::kPanelRows,
                                          i8mm::PairVector::rows_at_once(2, false),
                                          i8mm::kTuning};
}  // namespace retort
