#include "kernels/neon/peak_rounds.h"

namespace retort {
namespace {

int32_t run(int64_t rounds) {
  return run_rounds(rounds, [](int32x4_t sum, int8x16_t w, int8x16_t a) { return vdotq_s32(sum, w, a); });
}

}  // namespace

const PeakLoop kNeonDotprodPeakLoop = {12 * 16 * 2, run};

}  // namespace retort
