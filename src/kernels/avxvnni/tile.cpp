// Tile kernels for AVX-VNNI: AVX2 with vpdpbusd. Quants are brought to the top of their byte (q << (8 − bits)), as for
// AVX-512 VNNI: the zero point of every type is then 128, so the sums start at the activations' precomputed −128 · Σa;
// the power of two is taken back in the scale, exactly.
#include <bit>

#include "kernels/avx2/many_rows.h"

namespace retort::avxvnni {
namespace {

using avx2::Byte;

struct TileVector : avx2::TileBase {
  static constexpr float kSumBias = 12582912;
  static constexpr uint32_t kSumBiasBits = std::bit_cast<uint32_t>(kSumBias);
  static_assert((128 + 255) * 127 * kGroupInputs < 1 << 22);  // the largest sum, from the zero point's share on
  template <const TileFormat& kFormat>
  static constexpr int num_vectors = 8;
  // Sums of both halves of the tile, their quads and a broadcast: 15 registers of 16.
  template <const TileFormat& kFormat>
  static constexpr int num_rows = 6;

  template <const TileFormat& kFormat, int kQuad>
  static __m256i quad(const Byte* planes) {
    if constexpr (kFormat.codebook)
      return _mm256_shuffle_epi8(avx2::codebook(), avx2::stored_quad<kFormat, kQuad, 0>(planes));
    else
      return avx2::stored_quad<kFormat, kQuad, 8 - kFormat.bits>(planes);
  }

  template <const TileFormat& kFormat>
  static Quants unpack(const Byte* group, int part) {
    group += 32 * part;
    return {{quad<kFormat, 0>(group), quad<kFormat, 1>(group), quad<kFormat, 2>(group), quad<kFormat, 3>(group),
             quad<kFormat, 4>(group), quad<kFormat, 5>(group), quad<kFormat, 6>(group), quad<kFormat, 7>(group)}};
  }

  template <const TileFormat& kFormat>
  static void keep(const Quants& quants, int part, __m256i (&kept)[8][2]) {
    for (int q = 0; q < 8; ++q) kept[q][part] = quants.quad[q];
  }

  static __m256i start_of(const TileFormat& format, bool is_biased, int32_t start) {
    if (format.zero != 0) return _mm256_set1_epi32(start);
    return _mm256_set1_epi32(is_biased ? static_cast<int>(kSumBiasBits) : 0);
  }

  template <const TileFormat& kFormat, int kHalf, int kRows>
  static void sum(const Quants& w, const int8_t* a, const int32_t* starts, int, Float (&sums)[kRows]) {
    static_assert(kRows == 1);
    __m256i acc = start_of(kFormat, kHalf != 1, starts[0]);
#pragma GCC unroll 8
    for (int q = kHalf == 1 ? 4 : 0; q < (kHalf == 0 ? 4 : 8); ++q)
      acc = _mm256_dpbusd_avx_epi32(acc, w.quad[q], avx2::broadcast_quad(a + 4 * q));
    sums[0] = kHalf != 1 ? _mm256_castsi256_ps(acc) : _mm256_cvtepi32_ps(acc);
  }

  template <const TileFormat& kFormat, int kHalf, int kRows>
  static void sum_rows(const __m256i (&w)[8][2], const int8_t* a, const int32_t* starts, int stride,
                       Float (&sums)[kRows][2]) {
    __m256i acc[kRows][2];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) acc[r][0] = acc[r][1] = start_of(kFormat, kHalf != 1, starts[r * stride]);
#pragma GCC unroll 8
    for (int q = kHalf == 1 ? 4 : 0; q < (kHalf == 0 ? 4 : 8); ++q)
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const __m256i four = avx2::broadcast_quad(a + r * kGroupInputs + 4 * q);
#pragma GCC unroll 2
        for (int part = 0; part < 2; ++part) acc[r][part] = _mm256_dpbusd_avx_epi32(acc[r][part], w[q][part], four);
      }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
      for (int part = 0; part < 2; ++part)
        sums[r][part] = kHalf != 1 ? _mm256_castsi256_ps(acc[r][part]) : _mm256_cvtepi32_ps(acc[r][part]);
  }

  // Codebook entries are not shifted.
  template <const TileFormat& kFormat>
  static Float unshift() {
    return _mm256_set1_ps(kFormat.codebook ? 1.0f : 1.0f / static_cast<float>(1 << (8 - kFormat.bits)));
  }

  static void quantize_row(const float* row, int64_t num_groups, int64_t row_idx, const ActivationPanel& panel) {
    for (int64_t g = 0; g < num_groups; ++g, row += kGroupInputs) {
      const int64_t i = g * panel.num_rows + row_idx;
      const avx2::QuantizedGroup group = quantize_group(row);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(panel.quants + i * kGroupInputs), group.quants);
      const uint32_t sum0 = sum_of(_mm256_add_epi32(group.words[0], group.words[1])),
                     sum1 = sum_of(_mm256_add_epi32(group.words[2], group.words[3]));
      write_group_sums(panel, i, group.largest / 127.0f, sum0, sum1);
      write_group_starts(panel, i, sum0, sum1, kSumBiasBits);
    }
  }

 private:
  static uint32_t sum_of(__m256i words) {
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
    return static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1))));
  }
};

}  // namespace
}  // namespace retort::avxvnni

namespace retort {
const TileKernels kAvxVnniTileKernels = avx2::make_many_rows_kernels<avxvnni::TileVector>(
    {.nudged_rows = 2, .many_rows_from = avxvnni::TileVector::kMaxRows + 1});
}  // namespace retort
