// The arithmetic of tile_kernel.h, once, over a vector policy V that each instruction set provides:
//   kParts, kMaxRows             16 outputs are kParts vectors; at most kMaxRows rows share one unpacking
//   kPanelRows                   of a whole panel
//   rows_at_once(n, has_halves)  of n rows, how many sum() takes: as many as keep the multipliers busy
//   Float, Quants                kTileOutputs / kParts floats; one group's quants of as many outputs
//   unpack<kFormat>(group, part) → Quants
//   sum<kFormat, kHalf, kRows>(quants, a, starts, stride, sums)
//                                the exact integer sums of kRows rows over the group (kHalf −1) or one half of it, as
//                                floats; of the group and its first half plus kSumBias; a: their activations as
//                                quantize_row left them; starts[r * stride]: what the sums of the same inputs start at
//   kSumBias                     0; or 1.5 · 2²³, beside which an integer of up to 2²² stands in the last bits of a
//                                float: sums that start at its bits are floats as they are, and none has to be
//                                converted. (Sum + bias) · scale − bias · scale, fused, is the sum times the scale
//                                rounded once, since scales have 19 bits at most: the bias times them is exact
//   unshift<kFormat>()           power of two by which unpack() scaled the quants, to be taken back
//   halves, signed_bytes, unsigned_bytes, low_nibbles, high_nibbles (p) → Float, mul, fma, negate, set1, zero, load,
//   store, prefetch_far (into the second-level cache), prefetch_near (into the first, past the others),
//   prefetch_all (into the first and the others)
// V lives in a namespace of its instruction set, so no two of them share an instantiation.
#pragma once

#include "kernels/tile_kernel.h"

namespace retort {

// Asks for what is read after this group. With few rows the hardware's prefetcher may follow the reads by itself and is
// only nudged on. More rows: the arithmetic between two reads is so long that the reads no longer run ahead, so every
// line is asked for.
template <class V, const TileFormat& kFormat>
inline void prefetch_ahead(const unsigned char* group, Prefetch prefetch) {
  if (prefetch == Prefetch::kNudge) {
    V::prefetch_far(group + 4096);
  } else if (prefetch == Prefetch::kAskPast) {
    for (size_t line = 0; line < kFormat.group_bytes(); line += 64) V::prefetch_near(group + 2048 + line);
  } else {
    // Into the second-level cache from further on: it waits for more lines at once than the first.
    for (size_t line = 0; line < kFormat.group_bytes(); line += 64) {
      V::prefetch_far(group + 8192 + line);
      V::prefetch_all(group + 4096 + line);
    }
  }
}

// Scales and minima (negated where they are to be subtracted) of one group; [1] only where scales are per half group.
template <class V>
struct PartScales {
  typename V::Float d[2], m[2];

  // sum: as V::sum() leaves it of a group or its first half. Their sum without the bias, times d[0].
  [[gnu::always_inline]] typename V::Float scaled(typename V::Float sum) const {
    if constexpr (V::kSumBias == 0) return V::mul(sum, d[0]);
    return V::fma(sum, d[0], V::mul(d[0], V::set1(-V::kSumBias)));
  }
};

// entry: of the group, or of its superblock; g: the group's place in the superblock.
template <class V, const TileFormat& kFormat>
inline PartScales<V> part_scales(const unsigned char* entry, int g, int part) {
  constexpr int kLanes = kTileOutputs / V::kParts;
  constexpr ScaleKind kKind = kFormat.scales;
  PartScales<V> s;
  entry += part * kLanes;  // vectors of bytes begin here; those of halves once more further on
  const typename V::Float d = V::mul(V::halves(entry + part * kLanes), V::template unshift<kFormat>());
  if constexpr (kKind == ScaleKind::kGroup || kKind == ScaleKind::kGroupMin) {
    s.d[0] = d;
    if constexpr (kKind == ScaleKind::kGroupMin) s.m[0] = V::halves(entry + part * kLanes + 32);
  } else if constexpr (kKind == ScaleKind::kSuper) {
    s.d[0] = V::mul(d, V::signed_bytes(entry + 32 + 16 * g));
  } else if constexpr (kKind == ScaleKind::kSuperMin) {
    s.d[0] = V::mul(d, V::unsigned_bytes(entry + 64 + 32 * g));
    s.m[0] = V::negate(V::mul(V::halves(entry + part * kLanes + 32), V::unsigned_bytes(entry + 80 + 32 * g)));
  } else if constexpr (kKind == ScaleKind::kSuperHalf) {
    for (int half = 0; half < 2; ++half) s.d[half] = V::mul(d, V::signed_bytes(entry + 32 + 32 * g + 16 * half));
  } else {
    const typename V::Float dmin = V::negate(V::halves(entry + part * kLanes + 32));
    for (int half = 0; half < 2; ++half) {
      s.d[half] = V::mul(d, V::low_nibbles(entry + 64 + 32 * g + 16 * half));
      s.m[half] = V::mul(dmin, V::high_nibbles(entry + 64 + 32 * g + 16 * half));
    }
  }
  return s;
}

// The same pointer, which the compiler cannot take apart again into a base and an index: on Intel's cores an
// instruction that reads memory by an index takes the place of two where instructions are handed out (un-lamination,
// Intel 64 and IA-32 Architectures Optimization Reference Manual, "Micro-fusion").
template <class T>
static inline T* in_one_register(T* pointer) {
  asm("" : "+r"(pointer));
  return pointer;
}

static inline ActivationPanel entries_in_registers(const ActivationPanel& panel, int64_t i) {
  ActivationPanel here = entries_from(panel, i);
  here.quants = in_one_register(here.quants);
  here.scales = in_one_register(here.scales);
  here.sums = in_one_register(here.sums);
  here.half_sums = in_one_register(here.half_sums);
  return here;
}

// acc + one group's contribution; i: index of (group, row) in the panel. sums: of the group, or of its halves.
template <class V, const TileFormat& kFormat>
[[gnu::always_inline]] inline typename V::Float add_sums(const typename V::Float (&sums)[2], const PartScales<V>& s,
                                                         const ActivationPanel& panel, int64_t i,
                                                         typename V::Float acc) {
  if constexpr (!has_halves(kFormat.scales)) {
    acc = V::fma(s.scaled(sums[0]), V::set1(panel.scales[i]), acc);
    if constexpr (has_minima(kFormat.scales)) acc = V::fma(s.m[0], V::set1(panel.sums[i]), acc);
  } else {
    const auto t = V::fma(sums[1], s.d[1], s.scaled(sums[0]));
    acc = V::fma(t, V::set1(panel.scales[i]), acc);
    if constexpr (has_minima(kFormat.scales)) {
      acc = V::fma(s.m[0], V::set1(panel.half_sums[2 * i]), acc);
      acc = V::fma(s.m[1], V::set1(panel.half_sums[2 * i + 1]), acc);
    }
  }
  return acc;
}

// Adds one group's contribution to the sums of kRows rows, of which row r's is acc[r * V::kParts]. i: index of (group,
// first row) in the panel.
template <class V, const TileFormat& kFormat, int kRows>
[[gnu::always_inline]] inline void add_group(const typename V::Quants& w, const PartScales<V>& s,
                                             const ActivationPanel& panel, int64_t i, typename V::Float* acc) {
  constexpr bool kHalves = has_halves(kFormat.scales);
  const int8_t* a = panel.quants + i * kGroupInputs;
  typename V::Float sums[2][kRows];  // [half]
  if constexpr (kHalves) {
    V::template sum<kFormat, 0, kRows>(w, a, panel.half_starts + 2 * i, 2, sums[0]);
    V::template sum<kFormat, 1, kRows>(w, a, panel.half_starts + 2 * i + 1, 2, sums[1]);
  } else {
    V::template sum<kFormat, -1, kRows>(w, a, panel.starts + i, 1, sums[0]);
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
    acc[r * V::kParts] =
        add_sums<V, kFormat>({sums[0][r], sums[kHalves ? 1 : 0][r]}, s, panel, i + r, acc[r * V::kParts]);
}

template <class V, const TileFormat& kFormat, int kRows>
void quant_rows(const unsigned char* tile, int64_t num_groups, const ActivationPanel& panel, float* out) {
  constexpr int kLanes = kTileOutputs / V::kParts, kChunkGroups = kFormat.chunk_groups();
  constexpr int kAtOnce = V::rows_at_once(kRows, has_halves(kFormat.scales));
  const Prefetch prefetch = panel.prefetch;
  typename V::Float acc[kRows][V::kParts];
  for (int r = 0; r < kRows; ++r)
    for (int part = 0; part < V::kParts; ++part) acc[r][part] = V::zero();
  for (int64_t first = 0; first < num_groups; first += kChunkGroups, tile += kFormat.chunk_bytes()) {
    const int groups = num_groups - first < kChunkGroups ? static_cast<int>(num_groups - first) : kChunkGroups;
    for (int g = 0; g < groups; ++g) {
      const unsigned char* entry = tile + kFormat.entry_offset(g);
      const unsigned char* group = tile + kFormat.group_offset(g);
      prefetch_ahead<V, kFormat>(group, prefetch);
      const ActivationPanel here = entries_in_registers(panel, (first + g) * panel.num_rows);
      for (int part = 0; part < V::kParts; ++part) {
        const PartScales<V> s = part_scales<V, kFormat>(entry, g, part);
        const typename V::Quants w = V::template unpack<kFormat>(group, part);
#pragma GCC unroll 16
        for (int r = 0; r < kRows; r += kAtOnce) add_group<V, kFormat, kAtOnce>(w, s, here, r, &acc[r][part]);
      }
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int part = 0; part < V::kParts; ++part) V::store(out + r * kTileOutputs + part * kLanes, acc[r][part]);
}

// The panel's rows in strides of kRows; what is left goes to the next smaller size.
template <class V, const TileFormat& kFormat, int kRows, int... kSmaller>
void quant_tile_by(const unsigned char* tile, int64_t num_groups, const ActivationPanel& panel, int64_t rows_left,
                   float* out) {
  ActivationPanel rest = panel;
  while (rows_left >= kRows) {
    if constexpr (kRows <= V::kMaxRows && kRows % V::rows_at_once(kRows, has_halves(kFormat.scales)) == 0)
      quant_rows<V, kFormat, kRows>(tile, num_groups, rest, out);
    else
      break;
    rows_left -= kRows;
    out += kRows * kTileOutputs;
    rest = entries_from(rest, kRows);
  }
  if constexpr (sizeof...(kSmaller) > 0)
    if (rows_left > 0) quant_tile_by<V, kFormat, kSmaller...>(tile, num_groups, rest, rows_left, out);
}

template <class V, const TileFormat& kFormat>
void quant_tile(const unsigned char* tile, int64_t num_groups, const ActivationPanel& panel, float* out) {
  quant_tile_by<V, kFormat, 16, 12, 10, 8, 6, 4, 3, 2, 1>(tile, num_groups, panel, panel.num_rows, out);
}

// Float weights. W: kBytes and kInputs of one step (kInputs inputs of all 16 outputs), read(p, part, j) → V::Float of
// input j.
template <class V, class W, int kRows>
void float_rows(const unsigned char* tile, int64_t num_inputs, const float* rows, int64_t stride, float* out) {
  constexpr int kLanes = kTileOutputs / V::kParts;
  typename V::Float acc[kRows][V::kParts];
  for (int r = 0; r < kRows; ++r)
    for (int part = 0; part < V::kParts; ++part) acc[r][part] = V::zero();
  for (int64_t k = 0; k < num_inputs; k += W::kInputs, tile += W::kBytes) {
    V::prefetch_far(tile + 4096);
    for (int j = 0; j < W::kInputs && k + j < num_inputs; ++j)
      for (int part = 0; part < V::kParts; ++part) {
        const typename V::Float w = W::read(tile, part, j);
        for (int r = 0; r < kRows; ++r) acc[r][part] = V::fma(w, V::set1(rows[r * stride + k + j]), acc[r][part]);
      }
  }
  for (int r = 0; r < kRows; ++r)
    for (int part = 0; part < V::kParts; ++part) V::store(out + r * kTileOutputs + part * kLanes, acc[r][part]);
}

template <class V, class W>
void float_tile(const unsigned char* tile, int64_t num_inputs, const float* rows, int64_t stride, int64_t num_rows,
                float* out) {
  constexpr int kMost = V::kParts == 1 ? 8 : 4;
  for (; num_rows >= kMost; num_rows -= kMost, rows += kMost * stride, out += kMost * kTileOutputs)
    float_rows<V, W, kMost>(tile, num_inputs, rows, stride, out);
  for (; num_rows >= 2; num_rows -= 2, rows += 2 * stride, out += 2 * kTileOutputs)
    float_rows<V, W, 2>(tile, num_inputs, rows, stride, out);
  if (num_rows > 0) float_rows<V, W, 1>(tile, num_inputs, rows, stride, out);
}

// F32, F16, BF16: readers of float weights.
template <class V, class F32, class F16, class BF16>
constexpr TileKernels make_tile_kernels(const UnpackedTileKernels* unpacked = nullptr) {
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
          0,
          {2, kNoManyRows},
          unpacked};
}

}  // namespace retort
