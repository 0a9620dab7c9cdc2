#include "kernels/neon/peak_rounds.h"

namespace retort {
namespace {

int32_t run(int64_t rounds) {
  return run_rounds(rounds, [](int32x4_t sum, int8x16_t w, int8x16_t a) { return vmmlaq_s32(sum, w, a); });
}

}  // namespace

const PeakLoop kNeonI8mmPeakLoop = {12 * 32 * 2, run};

}  // namespace retort
