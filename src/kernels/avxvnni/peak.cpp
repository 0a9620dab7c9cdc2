#include <immintrin.h>

#include "kernels/peak_loop.h"

namespace retort {
namespace {

int32_t run(int64_t rounds) {
  __m256i acc[12];
  for (auto& sum : acc) sum = _mm256_setzero_si256();
  const __m256i w = _mm256_set1_epi8(3), a = _mm256_set1_epi8(-2);
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) {
      acc[j] = _mm256_dpbusd_avx_epi32(acc[j], w, a);
      asm volatile("" : "+x"(acc[j]));
    }
  }
  for (int j = 1; j < 12; ++j) acc[0] = _mm256_add_epi32(acc[0], acc[j]);
  return _mm256_extract_epi32(acc[0], 0);
}

}  // namespace

const PeakLoop kAvxVnniPeakLoop = {12 * 32 * 2, run};

}  // namespace retort
