#include "kernels/amx/tile_loops.h"
#include "kernels/amx/tile_registers.h"

namespace retort {
const TileKernels kAmxTileKernels = amx::make_tile_kernels<amx::TileRegisters>();
}  // namespace retort
