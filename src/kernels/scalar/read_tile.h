// Reads single weights out of a packed tile.
#pragma once

#include <string.h>

#include "kernels/half.h"
#include "kernels/tile_format.h"

namespace retort {

using Byte = unsigned char;  // as in every file of kernels/

// The quant of output `o`, input `k` of the group.
inline int tile_quant(const TileFormat& format, const Byte* group, int o, int k) {
  const int quad = k / 4, byte = o * 4 + k % 4;
  if (format.bits == 8) return group[quad * 64 + byte];
  int value = 0, shift = 0;
  if (format.bits & 4) {
    value = (group[(quad % 4) * 64 + byte] >> (4 * (quad / 4))) & 15;
    group += 256;
    shift = 4;
  }
  if (format.bits & 2) {
    value |= ((group[(quad % 2) * 64 + byte] >> (2 * (quad / 2))) & 3) << shift;
    group += 128;
    shift += 2;
  }
  if (format.bits & 1) value |= ((group[byte] >> quad) & 1) << shift;
  return format.codebook ? kIq4Values[value] : value;
}

// Scales and minima of one output for both halves of a group; halves are equal where scales are per group.
struct TileScales {
  float d[2];
  float m[2];
};

inline TileScales tile_scales(const TileFormat& format, const Byte* tile, int64_t group_idx, int o) {
  const auto half_at = [](const Byte* p, int i) {
    uint16_t bits;
    memcpy(&bits, p + 2 * i, 2);
    return half_to_float(bits);
  };
  const Byte* p = tile + format.entry_offset(group_idx);
  if (!format.has_super()) {
    const float d = half_at(p, o), m = format.scales == ScaleKind::kGroupMin ? half_at(p + 32, o) : 0;
    return {{d, d}, {m, m}};
  }
  const int g = static_cast<int>(group_idx % format.chunk_groups());
  const float d = half_at(p, o);
  switch (format.scales) {
    case ScaleKind::kSuper: {
      const float scale = d * static_cast<int8_t>(p[32 + 16 * g + o]);
      return {{scale, scale}, {0, 0}};
    }
    case ScaleKind::kSuperMin: {
      const float scale = d * p[64 + 32 * g + o], min = -(half_at(p + 32, o) * p[64 + 32 * g + 16 + o]);
      return {{scale, scale}, {min, min}};
    }
    case ScaleKind::kSuperHalf: {
      const Byte* s = p + 32 + 32 * g;
      return {{d * static_cast<int8_t>(s[o]), d * static_cast<int8_t>(s[16 + o])}, {0, 0}};
    }
    default: {
      const Byte* s = p + 64 + 32 * g;
      const float dmin = half_at(p + 32, o);
      return {{d * (s[o] & 15), d * (s[16 + o] & 15)}, {-(dmin * (s[o] >> 4)), -(dmin * (s[16 + o] >> 4))}};
    }
  }
}

}  // namespace retort
