// Tile kernels of AVX2 and AVX-VNNI. A few rows stream through tile_rows.h. With more, a group is unpacked once for all
// rows of the panel, and both halves of the tile are multiplied at once: the broadcast of a row's activations feeds
// both. Beyond what tile_rows.h asks of it, a policy V has
//   num_vectors<kFormat>         of one half of a tile, in a group that is kept unpacked
//   keep<kFormat>(quants, part, kept)
//   num_rows<kFormat>            as many as are multiplied together
//   sum_rows<kFormat, kHalf, kRows>(kept, a, starts, stride, sums)
//                                as sum(), of both halves of the tile
#pragma once

#include <string.h>

#include "kernels/avx2/tile_base.h"

namespace retort::avx2 {
namespace {

template <class V, const TileFormat& kFormat>
struct UnpackedGroup {
  __m256i vectors[V::template num_vectors<kFormat>][2];  // [...][half of the tile]
  PartScales<V> scales[2];
};

template <class V, const TileFormat& kFormat>
inline void unpack_group(const Byte* tile, int64_t group_idx, UnpackedGroup<V, kFormat>& w) {
  const Byte* group = tile + kFormat.group_offset(group_idx);
  const Byte* entry = tile + kFormat.entry_offset(group_idx);
  const int g = static_cast<int>(group_idx % kFormat.chunk_groups());
  for (int part = 0; part < 2; ++part) {
    V::template keep<kFormat>(V::template unpack<kFormat>(group, part), part, w.vectors);
    w.scales[part] = part_scales<V, kFormat>(entry, g, part);
  }
}

// Adds one group to rows of sums. i: index of (group, first row) in the panel; out: [kRows][16].
template <class V, const TileFormat& kFormat, int kRows>
inline void add_rows(const UnpackedGroup<V, kFormat>& w, const ActivationPanel& panel, int64_t i, float* out) {
  constexpr bool kHalves = has_halves(kFormat.scales);
  const int8_t* a = panel.quants + i * kGroupInputs;
  typename V::Float sums[2][kRows][2];  // [half of the group]
  if constexpr (kHalves) {
    V::template sum_rows<kFormat, 0, kRows>(w.vectors, a, panel.half_starts + 2 * i, 2, sums[0]);
    V::template sum_rows<kFormat, 1, kRows>(w.vectors, a, panel.half_starts + 2 * i + 1, 2, sums[1]);
  } else {
    V::template sum_rows<kFormat, -1, kRows>(w.vectors, a, panel.starts + i, 1, sums[0]);
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r, out += kTileOutputs) {
    const auto added = [&](int part) {
      return add_sums<V, kFormat>({sums[0][r][part], sums[kHalves ? 1 : 0][r][part]}, w.scales[part], panel, i + r,
                                  _mm256_loadu_ps(out + 8 * part));
    };
    const __m256 low = added(0), high = added(1);
    _mm256_storeu_ps(out, low);
    _mm256_storeu_ps(out + 8, high);
  }
}

// The panel's rows from r on in strides of kRows; what is left goes to the next smaller size.
template <class V, const TileFormat& kFormat, int kRows>
inline void add_rows_by(const UnpackedGroup<V, kFormat>& w, const ActivationPanel& panel, int64_t g, int64_t r,
                        float* out) {
  for (; r + kRows <= panel.num_rows; r += kRows)
    add_rows<V, kFormat, kRows>(w, panel, g * panel.num_rows + r, out + r * kTileOutputs);
  if constexpr (kRows > 1)
    if (r < panel.num_rows) add_rows_by<V, kFormat, kRows - 1>(w, panel, g, r, out);
}

template <class V, const TileFormat& kFormat>
void add_panel(const UnpackedGroup<V, kFormat>& w, const ActivationPanel& panel, int64_t g, float* out) {
  add_rows_by<V, kFormat, V::template num_rows<kFormat>>(w, panel, g, 0, out);
}

void clear(const ActivationPanel& panel, float* out) {
  memset(out, 0, static_cast<size_t>(panel.num_rows) * kTileOutputs * sizeof(float));
}

template <class V, const TileFormat& kFormat>
void quant_tile(const Byte* tile, int64_t num_groups, const ActivationPanel& all, float* out) {
  if (!all.is_many) {
    retort::quant_tile<V, kFormat>(tile, num_groups, all, out);
    return;
  }
  const ActivationPanel panel = all;  // its own, so that no store can change the pointers
  clear(panel, out);
  for (int64_t g = 0; g < num_groups; ++g) {
    prefetch_ahead<V, kFormat>(tile + kFormat.group_offset(g), panel.prefetch);
    UnpackedGroup<V, kFormat> w;
    unpack_group(tile, g, w);
    add_panel(w, panel, g, out);
  }
}

// For several panels.
template <class V, const TileFormat& kFormat>
void multiply_first(const Byte* tile, int64_t num_groups, const ActivationPanel& first, float* out, Byte* unpacked) {
  const ActivationPanel panel = first;
  clear(panel, out);
  auto* w = reinterpret_cast<UnpackedGroup<V, kFormat>*>(unpacked);
  for (int64_t g = 0; g < num_groups; ++g, ++w) {
    prefetch_ahead<V, kFormat>(tile + kFormat.group_offset(g), panel.prefetch);
    unpack_group(tile, g, *w);
    add_panel(*w, panel, g, out);
  }
}

template <class V, const TileFormat& kFormat>
void multiply_unpacked(const Byte* unpacked, int64_t num_groups, const ActivationPanel& next, float* out) {
  const ActivationPanel panel = next;
  clear(panel, out);
  const auto* w = reinterpret_cast<const UnpackedGroup<V, kFormat>*>(unpacked);
  for (int64_t g = 0; g < num_groups; ++g, ++w) add_panel(*w, panel, g, out);
}

template <class V, const TileFormat& kFormat>
constexpr UnpackedTileKernel unpacked_kernel() {
  return {multiply_first<V, kFormat>, multiply_unpacked<V, kFormat>, sizeof(UnpackedGroup<V, kFormat>)};
}

template <class V>
constexpr UnpackedTileKernels kUnpackedTileKernels = {
    unpacked_kernel<V, kTileQ4_0>(), unpacked_kernel<V, kTileQ4_1>(),   unpacked_kernel<V, kTileQ5_0>(),
    unpacked_kernel<V, kTileQ5_1>(), unpacked_kernel<V, kTileQ8_0>(),   unpacked_kernel<V, kTileQ2_K>(),
    unpacked_kernel<V, kTileQ3_K>(), unpacked_kernel<V, kTileQ4_K>(),   unpacked_kernel<V, kTileQ5_K>(),
    unpacked_kernel<V, kTileQ6_K>(), unpacked_kernel<V, kTileIQ4_NL>(), unpacked_kernel<V, kTileIQ4_XS>()};

template <class V>
constexpr TileKernels make_many_rows_kernels(KernelTuning tuning) {
  return {quant_tile<V, kTileQ4_0>,
          quant_tile<V, kTileQ4_1>,
          quant_tile<V, kTileQ5_0>,
          quant_tile<V, kTileQ5_1>,
          quant_tile<V, kTileQ8_0>,
          quant_tile<V, kTileQ2_K>,
          quant_tile<V, kTileQ3_K>,
          quant_tile<V, kTileQ4_K>,
          quant_tile<V, kTileQ5_K>,
          quant_tile<V, kTileQ6_K>,
          quant_tile<V, kTileIQ4_NL>,
          quant_tile<V, kTileIQ4_XS>,
          float_tile<V, F32>,
          float_tile<V, F16>,
          float_tile<V, BF16>,
          V::quantize_row,
          V::kPanelRows,
          1,
          tuning,
          &kUnpackedTileKernels<V>};
}

}  // namespace
}  // namespace retort::avx2
