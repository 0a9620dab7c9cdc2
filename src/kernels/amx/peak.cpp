#include "kernels/amx/tile_registers.h"
#include "kernels/peak_loop.h"

namespace retort {
namespace {

// Four chains of whole tiles, 16 × 16 × 64: twice as deep as a group, which is what the unit can do at most.
int32_t run(int64_t rounds) {
  constexpr amx::TileShapes kWhole = {.row_bytes = {64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16}};
  const amx::TileRegisters::Scope scope(kWhole);  // all registers are zero
  alignas(64) int32_t sums[256] = {};
  for (int64_t i = 0; i < rounds; ++i)
    asm volatile(
        "tdpbssd %%tmm5, %%tmm4, %%tmm0\n tdpbssd %%tmm5, %%tmm4, %%tmm1\n"
        "tdpbssd %%tmm5, %%tmm4, %%tmm2\n tdpbssd %%tmm5, %%tmm4, %%tmm3\n" ::);
  amx::TileRegisters::store<0>(sums);
  return sums[0];
}

}  // namespace

const PeakLoop kAmxPeakLoop = {int64_t{4} * 16 * 16 * 64 * 2, run};

}  // namespace retort
