// From a file's rows of blocks to a packed tile.
#pragma once

#include <cstdint>

#include "formats/tensor_type.h"
#include "kernels/tile_format.h"

namespace retort {

// Null for float types, which have no quants.
const TileFormat* tile_format(TensorType type);

// Packs `num_rows` (≤ 16) rows of `num_inputs` weights, `row_bytes` apart, into `tile` (zeroed before, tile_bytes
// long). Missing rows stay zero.
using PackTile = void (*)(const unsigned char* rows, size_t row_bytes, int num_rows, int64_t num_inputs,
                          unsigned char* tile);
PackTile pack_tile_function(TensorType type);

}  // namespace retort
