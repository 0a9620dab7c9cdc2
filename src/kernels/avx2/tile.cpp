// Tile kernels for AVX2.
#include "kernels/avx2/tile_vector.h"

namespace retort {
// Zen 3's prefetcher loses the stream when it is nudged.
const TileKernels kAvx2TileKernels = avx2::make_many_rows_kernels<avx2::TileVector>(
    {.nudged_rows = 0, .many_rows_from = avx2::TileVector::kMaxRows + 1});
}  // namespace retort
