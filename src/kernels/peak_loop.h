// One function an instruction set: `rounds` times 12 independent multiply-add vectors. Returns a number that depends on
// all of them, so that nothing is optimised away.
#pragma once

#include <stdint.h>

namespace retort {

struct PeakLoop {
  int64_t ops_per_round;
  int32_t (*run)(int64_t rounds);
};

extern const PeakLoop kScalarPeakLoop;
#if defined(__x86_64__)
extern const PeakLoop kAvx2PeakLoop;
extern const PeakLoop kAvxVnniPeakLoop;
extern const PeakLoop kAvx512VnniPeakLoop;
extern const PeakLoop kAmxPeakLoop;
#elif defined(__aarch64__)
extern const PeakLoop kNeonDotprodPeakLoop;
extern const PeakLoop kNeonI8mmPeakLoop;
#endif

}  // namespace retort
