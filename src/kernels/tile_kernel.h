// The innermost matmul functions: one tile of 16 outputs against a few rows of activations. Each instruction set has
// its own; all do the same arithmetic in the same order, so their results are equal bit for bit:
//   integer sums over a group (half group where scales are per 16) are exact; then, group after group in order,
//     acc = fma(float(sum) · d, a_scale, acc)                 kGroup, kSuper          d = d · s
//     acc = fma(m, a_sum, fma(float(sum) · d, a_scale, acc))  kGroupMin, kSuperMin    m = −dmin · m for kSuperMin
//     t = float(sum0) · d0;  t = fma(float(sum1), d1, t);
//     acc = fma(t, a_scale, acc)                              kSuperHalf
//     the same, then acc = fma(m0, a_sum0, acc);
//     acc = fma(m1, a_sum1, acc)                              kSuperHalfMin
//   Float weights: acc = fma(w[k], a[k], acc) for k in order.
#pragma once

#include "kernels/tile_format.h"

namespace retort {

inline constexpr int kMaxTileRows = 16;               // what an AMX tile has
inline constexpr float kSmallestActivation = 1e-30f;  // groups whose largest value is not above this are taken as zeros

// What a kernel does about the weights that it reads next.
enum class Prefetch : uint8_t {
  kNudge,    // asks for a line a group, which keeps the hardware's prefetcher going
  kAskPast,  // asks for every line, past the caches that it would only pass through
  kAskInto,  // asks for every line, into all caches
};

// Quantised activations of up to kMaxTileRows rows, group-major: entry (group g, row r) is at index g * num_rows + r.
struct ActivationPanel {
  int8_t* quants;        // [num_groups][num_rows][32]
  float* scales;         // [num_groups][num_rows]
  int32_t* starts;       // [num_groups][num_rows]: what the set's integer sums over a group start at
  int32_t* half_starts;  // [num_groups][num_rows][2]: the same of each half group
  float* sums;           // [num_groups][num_rows]: scale · Σ quants
  float* half_sums;      // [num_groups][num_rows][2]
  int64_t num_rows;
  bool is_many;  // see KernelTuning
  Prefetch prefetch;
};

// The entries of a panel from entry i on. Static, as all functions here and in tile_rows.h that no policy tells apart:
// of an inline one the linker keeps a single copy, which may be of an instruction set that the machine lacks.
static inline ActivationPanel entries_from(ActivationPanel panel, int64_t i) {
  panel.quants += i * kGroupInputs;
  panel.scales += i;
  panel.starts += i;
  panel.half_starts += 2 * i;
  panel.sums += i;
  panel.half_sums += 2 * i;
  return panel;
}

// From how many rows on one way of multiplying a panel gives way to another. It decides how fast a result comes, never
// what it is.
struct KernelTuning {
  int nudged_rows;     // up to so many, the hardware's prefetcher is nudged on; with more, every line is asked for
  int many_rows_from;  // from so many on, the set's kernel for many rows; kNoManyRows: never
  bool keeps_lines = false;  // those asked for come into all caches
  bool operator==(const KernelTuning&) const = default;
};
inline constexpr int kNoManyRows = kMaxTileRows + 1;

// out: [num_rows][16]
using QuantTileKernel = void (*)(const unsigned char* tile, int64_t num_groups, const ActivationPanel& panel,
                                 float* out);
// A tile that is unpacked once for several panels of rows, where a set gains by that. Of an unpacked group: its quants
// as they are multiplied, and its own scales.
struct UnpackedTileKernel {
  // The first panel, which is whole, from the packed tile. unpacked: for the others, num_groups * group_bytes, aligned
  // to 64.
  void (*multiply_first)(const unsigned char* tile, int64_t num_groups, const ActivationPanel& panel, float* out,
                         unsigned char* unpacked);
  QuantTileKernel multiply;  // the others, of 1, 2, 3, 4, 6, 8, 10 or panel_rows rows, from the unpacked tile
  size_t group_bytes;
};
struct UnpackedTileKernels {
  UnpackedTileKernel q4_0, q4_1, q5_0, q5_1, q8_0, q2_k, q3_k, q4_k, q5_k, q6_k, iq4_nl, iq4_xs;
};

// Float weights. rows: [num_rows, stride] float32; out: [num_rows][16]. Tile layouts:
// F32 float [num_inputs][16]; F16 half [num_inputs][16]; BF16 [num_inputs / 2 rounded up][16][2]
using FloatTileKernel = void (*)(const unsigned char* tile, int64_t num_inputs, const float* rows, int64_t stride,
                                 int64_t num_rows, float* out);
// BF16 weights against activations rounded to bf16 as well, where a set multiplies such pairs. Over the pairs of inputs
// in order, of each the second before the first: acc = fma(w[k], a[k], acc), rounded to nearest even; what is
// subnormal, operand or result, is zero.
struct Bf16Kernels {
  // rows: [num_rows][num_inputs rounded up to even], the filling zero; out: [num_rows][16]
  void (*multiply)(const unsigned char* tile, int64_t num_inputs, const uint16_t* rows, int64_t num_rows, float* out);
  // To the nearest, even at a tie.
  void (*round_row)(const float* row, int64_t num_inputs, uint16_t* out);
};
// Quantises one row of 32 · num_groups floats into row row_idx of the panel: scale = max|x| / 127, nearest even.
using QuantizeRow = void (*)(const float* row, int64_t num_groups, int64_t row_idx, const ActivationPanel& panel);

// What a group of a row leaves beside its quants. sum0, sum1: Σ quants of each half; they wrap around where the row is
// not finite, as is the scale that they go with.
static inline void write_group_sums(const ActivationPanel& panel, int64_t i, float scale, uint32_t sum0,
                                    uint32_t sum1) {
  const auto number = [](uint32_t sum) { return static_cast<float>(static_cast<int32_t>(sum)); };
  panel.scales[i] = scale;
  panel.sums[i] = scale * number(sum0 + sum1);
  panel.half_sums[2 * i] = scale * number(sum0);
  panel.half_sums[2 * i + 1] = scale * number(sum1);
}
// Starts of sums whose zero point is 128: −128 · Σ quants, and what else the set's sums start at (of halves, the
// first).
static inline void write_group_starts(const ActivationPanel& panel, int64_t i, uint32_t sum0, uint32_t sum1,
                                      uint32_t bias = 0) {
  const auto number = [](uint32_t sum) { return static_cast<int32_t>(sum); };
  panel.starts[i] = number(bias - 128 * (sum0 + sum1));
  panel.half_starts[2 * i] = number(bias - 128 * sum0);
  panel.half_starts[2 * i + 1] = number(-128 * sum1);
}

struct TileKernels {
  QuantTileKernel q4_0, q4_1, q5_0, q5_1, q8_0, q2_k, q3_k, q4_k, q5_k, q6_k, iq4_nl, iq4_xs;
  FloatTileKernel f32, f16, bf16;
  QuantizeRow quantize_row;
  int panel_rows;       // of a whole panel, up to kMaxTileRows
  int many_rows_step;   // the kernel for many rows takes multiples of so many; 0: the set has none
  KernelTuning tuning;  // where nothing was measured
  const UnpackedTileKernels* unpacked = nullptr;  // null: the set has none
};

extern const TileKernels kScalarTileKernels;
#if defined(__x86_64__)
extern const TileKernels kAvx2TileKernels;
extern const TileKernels kAvxVnniTileKernels;
extern const TileKernels kAvx512VnniTileKernels;
extern const TileKernels kAmxTileKernels;
extern const UnpackedTileKernels kAvx512VnniUnpackedTileKernels;
extern const Bf16Kernels kAvx512Bf16Kernels;
#elif defined(__aarch64__)
extern const TileKernels kNeonDotprodTileKernels;
extern const TileKernels kNeonI8mmTileKernels;
#endif

}  // namespace retort
