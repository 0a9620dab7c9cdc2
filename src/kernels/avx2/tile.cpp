// Tile kernels for AVX2. A few rows stream through tile_rows.h. With more, a group is unpacked once for all rows of the
// panel, and both halves of the tile are multiplied at once: the broadcast of a row's activations feeds both.
#include <string.h>

#include "kernels/avx2/tile_vector.h"

namespace retort::avx2 {
namespace {

constexpr int kPanelRows = 16;
// Zen 3's prefetcher loses the stream when it is nudged.
constexpr KernelTuning kTuning = {.nudged_rows = 0, .many_rows_from = TileVector::kMaxRows + 1};

template <const TileFormat& kFormat>
struct UnpackedGroup {
  static constexpr int kMagnitudes = is_signed(kFormat) ? 8 : 0;
  __m256i quads[8 + kMagnitudes][2];  // [quad][half of the tile]; then, where they are signed, |quads|
  PartScales<TileVector> scales[2];
};

template <const TileFormat& kFormat>
inline void unpack_group(const Byte* tile, int64_t group_idx, UnpackedGroup<kFormat>& w) {
  const Byte* group = tile + kFormat.group_offset(group_idx);
  const Byte* entry = tile + kFormat.entry_offset(group_idx);
  const int g = static_cast<int>(group_idx % kFormat.chunk_groups());
  for (int part = 0; part < 2; ++part) {
    const TileVector::Quants quants = TileVector::unpack<kFormat>(group, part);
    for (int q = 0; q < 8; ++q) {
      w.quads[q][part] = quants.quad[q];
      if constexpr (is_signed(kFormat)) w.quads[8 + q][part] = magnitude<kFormat>(quants.quad[q]);
    }
    w.scales[part] = part_scales<TileVector, kFormat>(entry, g, part);
  }
}

// As TileVector::sum, of kRows rows and both halves of the tile. a: [kRows][32]; starts: of row r at [r * stride].
template <const TileFormat& kFormat, int kHalf, int kRows>
inline void sum_rows(const UnpackedGroup<kFormat>& w, const int8_t* a, const int32_t* starts, int stride,
                     __m256 (&sums)[kRows][2]) {
  using Quads = QuadRange<kFormat, kHalf>;
  __m256i acc[kRows][2];
#pragma GCC unroll 8
  for (int q0 = Quads::kFirst; q0 < Quads::kLast; q0 += Quads::kTogether) {
    __m256i pairs[kRows][2];
#pragma GCC unroll 8
    for (int q = q0; q < q0 + Quads::kTogether; ++q) {
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const __m256i four = broadcast_quad(a + r * kGroupInputs + 4 * q);
#pragma GCC unroll 2
        for (int part = 0; part < 2; ++part) {
          const __m256i products = multiply<kFormat>(w.quads[q][part], w.quads[q + w.kMagnitudes][part], four);
          pairs[r][part] = add_products<kFormat>(products, q == q0, pairs[r][part], starts[r * stride]);
          // In this order: summed up in a tree, the products would need more registers than there are.
          asm("" : "+x"(pairs[r][part]));
        }
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
      for (int part = 0; part < 2; ++part)
        acc[r][part] =
            q0 == Quads::kFirst ? widen(pairs[r][part]) : _mm256_add_epi32(acc[r][part], widen(pairs[r][part]));
  }
  for (int r = 0; r < kRows; ++r)
    for (int part = 0; part < 2; ++part) sums[r][part] = _mm256_cvtepi32_ps(acc[r][part]);
}

// Adds one group to rows of sums. i: index of (group, first row) in the panel; out: [kRows][16].
template <const TileFormat& kFormat, int kRows>
inline void add_rows(const UnpackedGroup<kFormat>& w, const ActivationPanel& panel, int64_t i, float* out) {
  constexpr bool kHalves = has_halves(kFormat.scales);
  const int8_t* a = panel.quants + i * kGroupInputs;
  __m256 sums[2][kRows][2];  // [half of the group]
  if constexpr (kHalves) {
    sum_rows<kFormat, 0, kRows>(w, a, panel.half_starts + 2 * i, 2, sums[0]);
    sum_rows<kFormat, 1, kRows>(w, a, panel.half_starts + 2 * i + 1, 2, sums[1]);
  } else {
    sum_rows<kFormat, -1, kRows>(w, a, panel.starts + i, 1, sums[0]);
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r, out += kTileOutputs) {
    const auto added = [&](int part) {
      return add_sums<TileVector, kFormat>({sums[0][r][part], sums[kHalves ? 1 : 0][r][part]}, w.scales[part], panel,
                                           i + r, _mm256_loadu_ps(out + 8 * part));
    };
    const __m256 low = added(0), high = added(1);
    _mm256_storeu_ps(out, low);
    _mm256_storeu_ps(out + 8, high);
  }
}

// The panel's rows from r on in strides of kRows; what is left goes to the next smaller size.
template <const TileFormat& kFormat, int kRows>
inline void add_rows_by(const UnpackedGroup<kFormat>& w, const ActivationPanel& panel, int64_t g, int64_t r,
                        float* out) {
  for (; r + kRows <= panel.num_rows; r += kRows)
    add_rows<kFormat, kRows>(w, panel, g * panel.num_rows + r, out + r * kTileOutputs);
  if constexpr (kRows > 1)
    if (r < panel.num_rows) add_rows_by<kFormat, kRows - 1>(w, panel, g, r, out);
}

template <const TileFormat& kFormat>
void add_panel(const UnpackedGroup<kFormat>& w, const ActivationPanel& panel, int64_t g, float* out) {
  constexpr int kRows = is_signed(kFormat) ? 2 : 4;  // as many as 16 registers hold
  add_rows_by<kFormat, kRows>(w, panel, g, 0, out);
}

void clear(const ActivationPanel& panel, float* out) {
  memset(out, 0, static_cast<size_t>(panel.num_rows) * kTileOutputs * sizeof(float));
}

template <const TileFormat& kFormat>
void quant_tile(const Byte* tile, int64_t num_groups, const ActivationPanel& all, float* out) {
  if (!all.is_many) {
    retort::quant_tile<TileVector, kFormat>(tile, num_groups, all, out);
    return;
  }
  const ActivationPanel panel = all;  // its own, so that no store can change the pointers
  clear(panel, out);
  for (int64_t g = 0; g < num_groups; ++g) {
    prefetch_ahead<TileVector, kFormat>(tile + kFormat.group_offset(g), panel.prefetch);
    UnpackedGroup<kFormat> w;
    unpack_group(tile, g, w);
    add_panel(w, panel, g, out);
  }
}

// For several panels.
template <const TileFormat& kFormat>
void multiply_first(const Byte* tile, int64_t num_groups, const ActivationPanel& first, float* out, Byte* unpacked) {
  const ActivationPanel panel = first;
  clear(panel, out);
  auto* w = reinterpret_cast<UnpackedGroup<kFormat>*>(unpacked);
  for (int64_t g = 0; g < num_groups; ++g, ++w) {
    prefetch_ahead<TileVector, kFormat>(tile + kFormat.group_offset(g), panel.prefetch);
    unpack_group(tile, g, *w);
    add_panel(*w, panel, g, out);
  }
}

template <const TileFormat& kFormat>
void multiply_unpacked(const Byte* unpacked, int64_t num_groups, const ActivationPanel& next, float* out) {
  const ActivationPanel panel = next;
  clear(panel, out);
  const auto* w = reinterpret_cast<const UnpackedGroup<kFormat>*>(unpacked);
  for (int64_t g = 0; g < num_groups; ++g, ++w) add_panel(*w, panel, g, out);
}

template <const TileFormat& kFormat>
constexpr UnpackedTileKernel unpacked_kernel() {
  return {multiply_first<kFormat>, multiply_unpacked<kFormat>, sizeof(UnpackedGroup<kFormat>)};
}

struct F32 {
  static constexpr int kBytes = 64, kInputs = 1;
  static __m256 read(const Byte* p, int part, int) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(p) + 8 * part);
  }
};
struct F16 {
  static constexpr int kBytes = 32, kInputs = 1;
  static __m256 read(const Byte* p, int part, int) { return TileVector::halves(p + 16 * part); }
};
struct BF16 {
  static constexpr int kBytes = 64, kInputs = 2;
  static __m256 read(const Byte* p, int part, int j) {
    const __m256i pair = load(p + 32 * part);
    return _mm256_castsi256_ps(j == 0 ? _mm256_slli_epi32(pair, 16)
                                      : _mm256_and_si256(pair, _mm256_set1_epi32(-65536)));
  }
};

}  // namespace
}  // namespace retort::avx2

namespace retort {
static constexpr UnpackedTileKernels kUnpackedTileKernels = {
    avx2::unpacked_kernel<kTileQ4_0>(), avx2::unpacked_kernel<kTileQ4_1>(),   avx2::unpacked_kernel<kTileQ5_0>(),
    avx2::unpacked_kernel<kTileQ5_1>(), avx2::unpacked_kernel<kTileQ8_0>(),   avx2::unpacked_kernel<kTileQ2_K>(),
    avx2::unpacked_kernel<kTileQ3_K>(), avx2::unpacked_kernel<kTileQ4_K>(),   avx2::unpacked_kernel<kTileQ5_K>(),
    avx2::unpacked_kernel<kTileQ6_K>(), avx2::unpacked_kernel<kTileIQ4_NL>(), avx2::unpacked_kernel<kTileIQ4_XS>()};

const TileKernels kAvx2TileKernels = {avx2::quant_tile<kTileQ4_0>,
                                      avx2::quant_tile<kTileQ4_1>,
                                      avx2::quant_tile<kTileQ5_0>,
                                      avx2::quant_tile<kTileQ5_1>,
                                      avx2::quant_tile<kTileQ8_0>,
                                      avx2::quant_tile<kTileQ2_K>,
                                      avx2::quant_tile<kTileQ3_K>,
                                      avx2::quant_tile<kTileQ4_K>,
                                      avx2::quant_tile<kTileQ5_K>,
                                      avx2::quant_tile<kTileQ6_K>,
                                      avx2::quant_tile<kTileIQ4_NL>,
                                      avx2::quant_tile<kTileIQ4_XS>,
                                      float_tile<avx2::TileVector, avx2::F32>,
                                      float_tile<avx2::TileVector, avx2::F16>,
                                      float_tile<avx2::TileVector, avx2::BF16>,
                                      avx2::TileVector::quantize_row,
                                      avx2::kPanelRows,
                                      1,
                                      avx2::kTuning,
                                      &kUnpackedTileKernels};
}  // namespace retort
