// Tiles for several panels of rows: unpacked once, so that what a group costs beside its products, on the same ports as
// they, is not paid again for each panel, nor do its quads take registers from the sums.
//
// Unpacked, a group is what the policy's sum() and add_sums() take: 8 quads of 64 bytes, then vectors of 16 floats: its
// scale or those of its halves, and as many minima where the type has them.
#include "kernels/avx512/tile_vector.h"

namespace retort::avx512 {
namespace {

// Once unpacked, types differ only in whether scales are of halves and whether there are minima (without, there is a
// zero point). Each of these stands for all like it.
template <const TileFormat& kFormat>
constexpr const TileFormat& kept_as() {
  if constexpr (has_halves(kFormat.scales))
    return has_minima(kFormat.scales) ? kTileQ2_K : kTileQ6_K;
  else
    return has_minima(kFormat.scales) ? kTileQ4_1 : kTileQ8_0;
}

template <const TileFormat& kFormat>
struct Layout {
  static constexpr int kScales = has_halves(kFormat.scales) ? 2 : 1;
  static constexpr int kMinima = has_minima(kFormat.scales) ? kScales : 0;
  static constexpr size_t kQuadBytes = 8 * 64, kBytes = kQuadBytes + 64 * (kScales + kMinima);
};

struct UnpackedVector : TileVector {
  struct Quants {
    const Byte* quads;
  };

  template <const TileFormat& kFormat, int kHalf, int kRows>
  [[gnu::always_inline]] static void sum(const Quants& w, const int8_t* a, const int32_t* starts, int stride,
                                         Float (&sums)[kRows]) {
    TileVector::Quants quants;
#pragma GCC unroll 8
    for (int q = 0; q < 8; ++q) quants.quad[q] = _mm512_load_si512(w.quads + 64 * q);
    TileVector::sum<kFormat, kHalf>(quants, a, starts, stride, sums);
  }
};

// Adds one group's contribution to the results of kRows rows.
template <class V, const TileFormat& kFormat, int kRows>
[[gnu::always_inline]] inline void add_to_rows(const typename V::Quants& w, const PartScales<V>& scales,
                                               const ActivationPanel& panel, int64_t group, __m512* acc) {
  constexpr int kAtOnce = TileVector::rows_at_once(kRows, has_halves(kFormat.scales));
  const ActivationPanel here = entries_in_registers(panel, group * panel.num_rows);
#pragma GCC unroll 2
  for (int r = 0; r < kRows; r += kAtOnce) add_group<V, kFormat, kAtOnce>(w, scales, here, r, acc + r);
}

// The first panel, which has all its rows: what is read from memory for it is unpacked for the others.
template <const TileFormat& kFormat>
void multiply_first(const Byte* tile, int64_t num_groups, const ActivationPanel& first_panel, float* out,
                    Byte* unpacked) {
  using Kept = Layout<kept_as<kFormat>()>;
  constexpr int kRows = TileVector::kPanelRows;
  const ActivationPanel panel = first_panel;  // which the bytes written to `unpacked` are not part of
  __m512 acc[kRows];
  for (auto& sum : acc) sum = _mm512_setzero_ps();
  for (int64_t g = 0; g < num_groups; ++g, unpacked += Kept::kBytes) {
    const Byte* group = tile + kFormat.group_offset(g);
    prefetch_ahead<TileVector, kFormat>(group, panel.prefetch);
    const TileVector::Quants w = TileVector::unpack<kFormat>(group, 0);
    const auto scales = part_scales<TileVector, kFormat>(tile + kFormat.entry_offset(g),
                                                         static_cast<int>(g % kFormat.chunk_groups()), 0);
#pragma GCC unroll 8
    for (int q = 0; q < 8; ++q) _mm512_store_si512(unpacked + 64 * q, w.quad[q]);
    Byte* floats = unpacked + Kept::kQuadBytes;
    for (int i = 0; i < Kept::kScales; ++i) _mm512_store_ps(floats + 64 * i, scales.d[i]);
    for (int i = 0; i < Kept::kMinima; ++i) _mm512_store_ps(floats + 64 * (Kept::kScales + i), scales.m[i]);
    add_to_rows<TileVector, kFormat, kRows>(w, scales, panel, g, acc);
  }
  for (int r = 0; r < kRows; ++r) _mm512_storeu_ps(out + r * kTileOutputs, acc[r]);
}

template <const TileFormat& kKept, int kRows>
void multiply_rows(const Byte* group, int64_t num_groups, const ActivationPanel& panel, float* out) {
  using Kept = Layout<kKept>;
  __m512 acc[kRows];
  for (auto& sum : acc) sum = _mm512_setzero_ps();
  for (int64_t g = 0; g < num_groups; ++g, group += Kept::kBytes) {
    PartScales<UnpackedVector> scales;
    const Byte* floats = group + Kept::kQuadBytes;
    for (int i = 0; i < Kept::kScales; ++i) scales.d[i] = _mm512_load_ps(floats + 64 * i);
    for (int i = 0; i < Kept::kMinima; ++i) scales.m[i] = _mm512_load_ps(floats + 64 * (Kept::kScales + i));
    add_to_rows<UnpackedVector, kKept, kRows>({group}, scales, panel, g, acc);
  }
  for (int r = 0; r < kRows; ++r) _mm512_storeu_ps(out + r * kTileOutputs, acc[r]);
}

// Of the numbers of rows that panels are filled up to.
template <const TileFormat& kKept, int kRows, int... kFewer>
void multiply_tile(const Byte* unpacked, int64_t num_groups, const ActivationPanel& panel, float* out) {
  if (panel.num_rows == kRows) multiply_rows<kKept, kRows>(unpacked, num_groups, panel, out);
  if (panel.num_rows >= kRows) return;
  if constexpr (sizeof...(kFewer) > 0)
    multiply_tile<kKept, kFewer...>(unpacked, num_groups, panel, out);
  else
    __builtin_trap();
}

template <const TileFormat& kFormat>
constexpr UnpackedTileKernel kernel() {
  static_assert((kFormat.zero != 0) == (kept_as<kFormat>().zero != 0));
  return {multiply_first<kFormat>, multiply_tile<kept_as<kFormat>(), 16, 10, 8, 6, 4, 3, 2, 1>,
          Layout<kept_as<kFormat>()>::kBytes};
}

}  // namespace
}  // namespace retort::avx512

namespace retort {
const UnpackedTileKernels kAvx512VnniUnpackedTileKernels = {
    avx512::kernel<kTileQ4_0>(), avx512::kernel<kTileQ4_1>(),   avx512::kernel<kTileQ5_0>(),
    avx512::kernel<kTileQ5_1>(), avx512::kernel<kTileQ8_0>(),   avx512::kernel<kTileQ2_K>(),
    avx512::kernel<kTileQ3_K>(), avx512::kernel<kTileQ4_K>(),   avx512::kernel<kTileQ5_K>(),
    avx512::kernel<kTileQ6_K>(), avx512::kernel<kTileIQ4_NL>(), avx512::kernel<kTileIQ4_XS>()};
}  // namespace retort
