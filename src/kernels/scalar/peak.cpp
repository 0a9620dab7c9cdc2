#include "kernels/peak_loop.h"

namespace retort {
namespace {

int32_t run(int64_t rounds) {
  int32_t acc[12] = {};
  volatile int8_t seed = 3;
  const int8_t w = seed, a = seed;
  for (int64_t i = 0; i < rounds; ++i) {
    for (int32_t& sum : acc) {
      sum += w * a;
      asm volatile("" : "+r"(sum));
    }
  }
  int32_t total = 0;
  for (int32_t sum : acc) total += sum;
  return total;
}

}  // namespace

const PeakLoop kScalarPeakLoop = {12 * 2, run};

}  // namespace retort
