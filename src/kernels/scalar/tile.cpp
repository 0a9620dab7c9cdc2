// The scalar twin: the specification of every tile kernel.
#include <math.h>
#include <string.h>

#include "kernels/magnitude.h"
#include "kernels/scalar/read_tile.h"
#include "kernels/tile_kernel.h"

namespace retort {
namespace {

float add_group(const TileFormat& format, const TileScales& s, const int sum[2], const ActivationPanel& panel,
                int64_t i, float acc) {
  const float a = panel.scales[i];
  switch (format.scales) {
    case ScaleKind::kGroup:
    case ScaleKind::kSuper:
      return fmaf(static_cast<float>(sum[0] + sum[1]) * s.d[0], a, acc);
    case ScaleKind::kGroupMin:
    case ScaleKind::kSuperMin:
      return fmaf(s.m[0], panel.sums[i], fmaf(static_cast<float>(sum[0] + sum[1]) * s.d[0], a, acc));
    default:
      break;
  }
  const float t = fmaf(static_cast<float>(sum[1]), s.d[1], static_cast<float>(sum[0]) * s.d[0]);
  acc = fmaf(t, a, acc);
  if (format.scales == ScaleKind::kSuperHalf) return acc;
  return fmaf(s.m[1], panel.half_sums[2 * i + 1], fmaf(s.m[0], panel.half_sums[2 * i], acc));
}

template <const TileFormat& kFormat>
void quant_tile(const Byte* tile, int64_t num_groups, const ActivationPanel& panel, float* out) {
  for (int o = 0; o < kTileOutputs; ++o) {
    for (int64_t r = 0; r < panel.num_rows; ++r) out[r * kTileOutputs + o] = 0;
    for (int64_t g = 0; g < num_groups; ++g) {
      const TileScales s = tile_scales(kFormat, tile, g, o);
      int weights[kGroupInputs];
      for (int k = 0; k < kGroupInputs; ++k)
        weights[k] = tile_quant(kFormat, tile + kFormat.group_offset(g), o, k) - kFormat.zero;
      for (int64_t r = 0; r < panel.num_rows; ++r) {
        const int64_t i = g * panel.num_rows + r;
        int sum[2] = {0, 0};
        for (int k = 0; k < kGroupInputs; ++k) sum[k / 16] += weights[k] * panel.quants[i * kGroupInputs + k];
        out[r * kTileOutputs + o] = add_group(kFormat, s, sum, panel, i, out[r * kTileOutputs + o]);
      }
    }
  }
}

// One float tile: Weight(tile, k, o) reads the weight.
template <class Weight>
void float_tile(const Byte* tile, int64_t num_inputs, const float* rows, int64_t stride, int64_t num_rows, float* out,
                Weight weight) {
  for (int64_t r = 0; r < num_rows; ++r) {
    for (int o = 0; o < kTileOutputs; ++o) {
      float acc = 0;
      for (int64_t k = 0; k < num_inputs; ++k) acc = fmaf(weight(tile, k, o), rows[r * stride + k], acc);
      out[r * kTileOutputs + o] = acc;
    }
  }
}

template <class T>
T load(const Byte* p) {
  T value;
  memcpy(&value, p, sizeof(T));
  return value;
}

void f32_tile(const Byte* tile, int64_t num_inputs, const float* rows, int64_t stride, int64_t num_rows, float* out) {
  float_tile(tile, num_inputs, rows, stride, num_rows, out,
             [](const Byte* t, int64_t k, int o) { return load<float>(t + 4 * (k * kTileOutputs + o)); });
}

void f16_tile(const Byte* tile, int64_t num_inputs, const float* rows, int64_t stride, int64_t num_rows, float* out) {
  float_tile(tile, num_inputs, rows, stride, num_rows, out, [](const Byte* t, int64_t k, int o) {
    return half_to_float(load<uint16_t>(t + 2 * (k * kTileOutputs + o)));
  });
}

void bf16_tile(const Byte* tile, int64_t num_inputs, const float* rows, int64_t stride, int64_t num_rows, float* out) {
  float_tile(tile, num_inputs, rows, stride, num_rows, out, [](const Byte* t, int64_t k, int o) {
    const uint32_t bits = static_cast<uint32_t>(load<uint16_t>(t + 2 * ((k / 2 * kTileOutputs + o) * 2 + k % 2))) << 16;
    return load<float>(reinterpret_cast<const Byte*>(&bits));
  });
}

void quantize_row(const float* row, int64_t num_groups, int64_t row_idx, const ActivationPanel& panel) {
  for (int64_t g = 0; g < num_groups; ++g) {
    const float* x = row + g * kGroupInputs;
    const int64_t i = g * panel.num_rows + row_idx;
    const float largest = largest_magnitude(x, kGroupInputs);
    const float scale = largest / 127.0f, inverse = largest > kSmallestActivation ? 127.0f / largest : 0.0f;
    int sum[2] = {0, 0};
    for (int k = 0; k < kGroupInputs; ++k) {
      const int q = static_cast<int>(lrintf(x[k] * inverse));
      panel.quants[i * kGroupInputs + k] = static_cast<int8_t>(q);
      sum[k / 16] += q;
    }
    write_group_sums(panel, i, scale, sum[0], sum[1]);
  }
}

}  // namespace

const TileKernels kScalarTileKernels = {quant_tile<kTileQ4_0>,
                                        quant_tile<kTileQ4_1>,
                                        quant_tile<kTileQ5_0>,
                                        quant_tile<kTileQ5_1>,
                                        quant_tile<kTileQ8_0>,
                                        quant_tile<kTileQ2_K>,
                                        quant_tile<kTileQ3_K>,
                                        quant_tile<kTileQ4_K>,
                                        quant_tile<kTileQ5_K>,
                                        quant_tile<kTileQ6_K>,
                                        quant_tile<kTileIQ4_NL>,
                                        quant_tile<kTileIQ4_XS>,
                                        f32_tile,
                                        f16_tile,
                                        bf16_tile,
                                        quantize_row,
                                        8,
                                        0,
                                        {0, kNoManyRows}};

}  // namespace retort
