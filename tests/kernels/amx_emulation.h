// AMX's kernels over tile registers in plain memory: their flow of data is tested on machines without AMX.
#pragma once

#include "kernels/tile_kernel.h"

namespace retort {
extern const TileKernels kEmulatedAmxTileKernels;  // needs AVX-512 VNNI, as the real ones do
}
