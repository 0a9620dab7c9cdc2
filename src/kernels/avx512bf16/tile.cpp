// BF16 weights by vdpbf16ps: two products a lane, twice what multiplying in float32 makes.
#include <immintrin.h>

#include "kernels/tile_kernel.h"

namespace retort::avx512bf16 {
namespace {

__m512bh broadcast_pair(const uint16_t* pair) {
  int word;
  __builtin_memcpy(&word, pair, sizeof word);
  return (__m512bh)_mm512_set1_epi32(word);
}

template <int kRows>
void multiply_rows(const unsigned char* tile, int64_t num_pairs, const uint16_t* rows, float* out) {
  __m512 acc[kRows];
  for (auto& sum : acc) sum = _mm512_setzero_ps();
  for (int64_t pair = 0; pair < num_pairs; ++pair, tile += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(tile + 4096), _MM_HINT_T1);
    const __m512bh w = (__m512bh)_mm512_loadu_si512(tile);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r)
      acc[r] = _mm512_dpbf16_ps(acc[r], w, broadcast_pair(rows + 2 * (r * num_pairs + pair)));
  }
  for (int r = 0; r < kRows; ++r) _mm512_storeu_ps(out + r * kTileOutputs, acc[r]);
}

// The rows in strides of kRows; what is left goes to the next smaller size.
template <int kRows>
void multiply_by(const unsigned char* tile, int64_t num_pairs, const uint16_t* rows, int64_t num_rows, float* out) {
  for (; num_rows >= kRows; num_rows -= kRows, rows += 2 * kRows * num_pairs, out += kRows * kTileOutputs)
    multiply_rows<kRows>(tile, num_pairs, rows, out);
  if constexpr (kRows > 1)
    if (num_rows > 0) multiply_by<kRows / 2>(tile, num_pairs, rows, num_rows, out);
}

void multiply(const unsigned char* tile, int64_t num_inputs, const uint16_t* rows, int64_t num_rows, float* out) {
  multiply_by<8>(tile, (num_inputs + 1) / 2, rows, num_rows, out);
}

void round_row(const float* row, int64_t num_inputs, uint16_t* out) {
  for (int64_t k = 0; k < num_inputs; k += 16) {
    const int64_t left = num_inputs - k, filled = left + left % 2;
    const auto lanes = [](int64_t n) { return static_cast<__mmask16>(n >= 16 ? 0xffff : (1 << n) - 1); };
    const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(lanes(left), row + k));
    _mm256_mask_storeu_epi16(out + k, lanes(filled), (__m256i)rounded);
  }
}

}  // namespace
}  // namespace retort::avx512bf16

namespace retort {
const Bf16Kernels kAvx512Bf16Kernels = {avx512bf16::multiply, avx512bf16::round_row};
}  // namespace retort
