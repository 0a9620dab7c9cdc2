#include <immintrin.h>

#include "kernels/peak_loop.h"

namespace retort {
namespace {

int32_t run(int64_t rounds) {
  __m512i acc[12];
  for (auto& sum : acc) sum = _mm512_setzero_si512();
  const __m512i w = _mm512_set1_epi8(3), a = _mm512_set1_epi8(-2);
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) {
      acc[j] = _mm512_dpbusd_epi32(acc[j], w, a);
      asm volatile("" : "+v"(acc[j]));
    }
  }
  for (int j = 1; j < 12; ++j) acc[0] = _mm512_add_epi32(acc[0], acc[j]);
  return _mm512_reduce_add_epi32(acc[0]);
}

}  // namespace

const PeakLoop kAvx512VnniPeakLoop = {12 * 64 * 2, run};

}  // namespace retort
