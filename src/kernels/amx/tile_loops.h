// Tile kernels for AMX: 16 rows of activations against 16 outputs, a group of 32 inputs at a time. The tile unit makes
// the integer sums of a group, AVX-512 unpacks the quants before it and scales the sums after it, one group apart, so
// that the three overlap. The sums are exact and what follows is tile_rows.h's: results are those of every other set.
//
// T: the tile registers, hardware (amx/tile.cpp) or an emulation of them (tests):
//   Scope                       object during whose life the registers are shaped as below
//   load_rows<A>(int8 [16][32])  row-major activations, A 0 or 1
//   load_weights<B>(bytes [8][16][4])   8 quads of 16 outputs, B 0 or 1
//   clear<C>(), dot<C, A, B, kSigned>()   sums [16][16] += rows · weights, these signed or not; C 0 … 3
//   store<C>(int32 [16][16])
#pragma once

#include <immintrin.h>

#include "kernels/avx512/tile_vector.h"

namespace retort::amx {
namespace {

// What add_group() of tile_rows.h reads in place of quants: the sums of one row, made already.
struct SummedVector : avx512::TileVector {
  static constexpr float kSumBias = 0;
  struct Quants {
    const int32_t* halves[2];  // [16] each; [0] is the whole group's where scales are not per half
  };
  template <const TileFormat& kFormat, int kHalf, int kRows>
  static void sum(const Quants& row, const int8_t*, const int32_t*, int, Float (&sums)[kRows]) {
    static_assert(kRows == 1);
    sums[0] = _mm512_cvtepi32_ps(_mm512_load_si512(row.halves[kHalf < 0 ? 0 : kHalf]));
  }
};

template <class T, const TileFormat& kFormat>
class GroupLoop {
 public:
  static void run(const unsigned char* tile, int64_t num_groups, const ActivationPanel& panel, float* out) {
    const typename T::Scope scope;
    GroupLoop loop(tile, panel);
    __m512 acc[kMaxTileRows];
    for (auto& row : acc) row = _mm512_setzero_ps();
    loop.template multiply<0>(0);
    for (int64_t g = 0; g < num_groups; g += 2) {
      if (g + 1 < num_groups) loop.template multiply<1>(g + 1);
      loop.template scale<0>(g, acc);
      if (g + 1 == num_groups) break;
      if (g + 2 < num_groups) loop.template multiply<0>(g + 2);
      loop.template scale<1>(g + 1, acc);
    }
    for (int r = 0; r < kMaxTileRows; ++r) _mm512_storeu_ps(out + r * kTileOutputs, acc[r]);
  }

 private:
  static constexpr bool kHalves = has_halves(kFormat.scales);
  // Where there is a zero point, quants are made signed about it; else they are multiplied unsigned.
  static constexpr bool kSigned = kFormat.zero != 0;

  GroupLoop(const unsigned char* tile, const ActivationPanel& panel) : tile_(tile), panel_(panel) {
    if constexpr (kHalves)
      for (auto& set : quads_)
        for (int q = 4; q < 12; ++q) _mm512_store_si512(set[q], _mm512_setzero_si512());
  }

  // Makes the sums of group g. kSet: which of two sets of buffers and registers.
  template <int kSet>
  void multiply(int64_t g) {
    const unsigned char* group = tile_ + kFormat.group_offset(g);
    prefetch_ahead<SummedVector, kFormat>(group, panel_.prefetch);
    unpack<kSet>(group);
    T::template load_rows<kSet>(panel_.quants + g * kMaxTileRows * kGroupInputs);
    if constexpr (kHalves) {  // quads 0 … 3, zeros; zeros, quads 4 … 7
      sum_up<kSet, 0>(quads_[kSet][0], sums_[kSet][0]);
      sum_up<kSet, 1>(quads_[kSet][8], sums_[kSet][1]);
    } else {
      sum_up<kSet, 0>(quads_[kSet][0], sums_[kSet][0]);
    }
  }

  template <int kSet, int kHalf>
  static void sum_up(const uint8_t* quads, int32_t* sums) {
    constexpr int kSums = 2 * kSet + kHalf, kWeights = kHalves ? kHalf : kSet;
    T::template load_weights<kWeights>(quads);
    T::template clear<kSums>();
    T::template dot<kSums, kSet, kWeights, kSigned>();
    T::template store<kSums>(sums);
  }

  template <int kSet>
  void unpack(const unsigned char* group) {
    const auto w = avx512::TileVector::unpack<kFormat>(group, 0);
#pragma GCC unroll 8
    for (int q = 0; q < 8; ++q) {
      const __m512i quad = kSigned ? _mm512_xor_si512(w.quad[q], _mm512_set1_epi8(-128)) : w.quad[q];
      _mm512_store_si512(quads_[kSet][kHalves && q >= 4 ? q + 8 : q], quad);
    }
  }

  template <int kSet>
  void scale(int64_t g, __m512 (&acc)[kMaxTileRows]) const {
    const int in_chunk = static_cast<int>(g % kFormat.chunk_groups());
    const auto s = part_scales<SummedVector, kFormat>(tile_ + kFormat.entry_offset(g), in_chunk, 0);
#pragma GCC unroll 16
    for (int r = 0; r < kMaxTileRows; ++r) {
      const SummedVector::Quants row{{sums_[kSet][0] + r * kTileOutputs, sums_[kSet][1] + r * kTileOutputs}};
      add_group<SummedVector, kFormat, 1>(row, s, panel_, g * kMaxTileRows + r, acc + r);
    }
  }

  const unsigned char* tile_;
  const ActivationPanel& panel_;
  alignas(64) uint8_t quads_[2][16][64];
  alignas(64) int32_t sums_[2][2][kMaxTileRows * kTileOutputs];
};

// Few rows go to AVX-512 VNNI.
template <class T, const TileFormat& kFormat, QuantTileKernel TileKernels::* kFewRows>
void quant_tile(const unsigned char* tile, int64_t num_groups, const ActivationPanel& panel, float* out) {
  if (panel.is_many)
    GroupLoop<T, kFormat>::run(tile, num_groups, panel, out);
  else
    (kAvx512VnniTileKernels.*kFewRows)(tile, num_groups, panel, out);
}

template <FloatTileKernel TileKernels::* kKernel>
void float_tile(const unsigned char* tile, int64_t num_inputs, const float* rows, int64_t stride, int64_t num_rows,
                float* out) {
  (kAvx512VnniTileKernels.*kKernel)(tile, num_inputs, rows, stride, num_rows, out);
}

// From so many rows on, filling a tile up costs less than AVX-512 takes for them.
constexpr KernelTuning kTuning = {.nudged_rows = 2, .many_rows_from = 7};

template <class T>
constexpr TileKernels make_tile_kernels() {
  using K = TileKernels;
  return {quant_tile<T, kTileQ4_0, &K::q4_0>,
          quant_tile<T, kTileQ4_1, &K::q4_1>,
          quant_tile<T, kTileQ5_0, &K::q5_0>,
          quant_tile<T, kTileQ5_1, &K::q5_1>,
          quant_tile<T, kTileQ8_0, &K::q8_0>,
          quant_tile<T, kTileQ2_K, &K::q2_k>,
          quant_tile<T, kTileQ3_K, &K::q3_k>,
          quant_tile<T, kTileQ4_K, &K::q4_k>,
          quant_tile<T, kTileQ5_K, &K::q5_k>,
          quant_tile<T, kTileQ6_K, &K::q6_k>,
          quant_tile<T, kTileIQ4_NL, &K::iq4_nl>,
          quant_tile<T, kTileIQ4_XS, &K::iq4_xs>,
          float_tile<&K::f32>,
          float_tile<&K::f16>,
          float_tile<&K::bf16>,
          avx512::TileVector::quantize_row,
          kMaxTileRows,
          kMaxTileRows,
          kTuning};
}

}  // namespace
}  // namespace retort::amx
