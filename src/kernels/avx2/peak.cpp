#include <immintrin.h>

#include "kernels/peak_loop.h"

namespace retort {
namespace {

int32_t run(int64_t rounds) {
  __m256i acc[12];
  for (auto& sum : acc) sum = _mm256_setzero_si256();
  __m256i w = _mm256_set1_epi8(3);
  const __m256i a = _mm256_set1_epi8(-2);
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) {
      acc[j] = _mm256_add_epi16(acc[j], _mm256_maddubs_epi16(w, a));
      asm volatile("" : "+x"(acc[j]), "+x"(w));  // or the product would be taken out of the loop
    }
  }
  for (int j = 1; j < 12; ++j) acc[0] = _mm256_add_epi16(acc[0], acc[j]);
  return _mm256_extract_epi16(acc[0], 0);
}

}  // namespace

const PeakLoop kAvx2PeakLoop = {12 * 32 * 2, run};

}  // namespace retort
