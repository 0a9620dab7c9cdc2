#include "kernels/amx/tile_registers.h"
#include "kernels/peak_loop.h"

namespace retort {
namespace {

// Four chains of whole tiles, 16 × 16 × 64: twice as deep as a group, which is what the unit can do at most.
int32_t run(int64_t rounds) {
  struct alignas(64) Config {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16};
  };
  const Config config;
  alignas(64) int32_t sums[256];
  asm volatile("ldtilecfg %0\n" : : "m"(config) : "memory");
  asm volatile("tilezero %%tmm0\n tilezero %%tmm1\n tilezero %%tmm2\n" ::);
  asm volatile("tilezero %%tmm3\n tilezero %%tmm4\n tilezero %%tmm5\n" ::);
  for (int64_t i = 0; i < rounds; ++i)
    asm volatile(
        "tdpbssd %%tmm5, %%tmm4, %%tmm0\n tdpbssd %%tmm5, %%tmm4, %%tmm1\n"
        "tdpbssd %%tmm5, %%tmm4, %%tmm2\n tdpbssd %%tmm5, %%tmm4, %%tmm3\n" ::);
  asm volatile("tilestored %%tmm0, (%0,%1,1)\n tilerelease" : : "r"(sums), "r"(int64_t{64}) : "memory");
  return sums[0];
}

}  // namespace

const PeakLoop kAmxPeakLoop = {int64_t{4} * 16 * 16 * 64 * 2, run};

}  // namespace retort
