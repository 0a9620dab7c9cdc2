// Kernels for AVX-VNNI and AVX-512 VNNI without these, and AMX's over tile registers in plain memory: their flow of
// data is tested on any machine with AVX2.
#pragma once

#include "kernels/tile_kernel.h"

namespace retort {
extern const TileKernels kEmulatedAvxVnniTileKernels;
extern const TileKernels kEmulatedAvx512VnniTileKernels;
extern const TileKernels kEmulatedAmxTileKernels;
}  // namespace retort
