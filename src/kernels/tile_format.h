// How a tile of 16 outputs holds each quantised type. Plain constants, for packing and for the kernels of every
// instruction set.
//
// A tile over K inputs is K/32 groups of quants, then their scales:
//   quants of a group, planes in this order, bytes of 16 outputs × 4 inputs (o * 4 + j), "quad" q = inputs 4q … 4q+3 of
//   the group
//     4-bit plane, 4 × 64 B: vector v holds quad v in the low and quad v+4 in the high nibbles
//     2-bit plane, 2 × 64 B: vector v holds quad v+2b in bits 2b, 2b+1
//     1-bit plane, 1 × 64 B: bit q is of quad q
//     8-bit plane, 8 × 64 B: vector q is quad q
//   scales: see ScaleKind; each entry is a vector of 16 outputs
// Stored quants are unsigned; the weight is scale · (quant − zero) or scale · quant − minimum.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace retort {

inline constexpr int kTileOutputs = 16;
inline constexpr int kGroupInputs = 32;
inline constexpr int kSuperGroups = 8;  // groups in a K-quant superblock of 256

enum class ScaleKind : uint8_t {
  kGroup,      // a group: f16 d[16]
  kGroupMin,   // a group: f16 d[16], f16 m[16]; weight d · q + m
  kSuper,      // a superblock: f16 d[16], then int8 s[8][16]; scale d · s
  kSuperMin,   // a superblock: f16 d[16], f16 dmin[16], then 8 × { uint8 s[16], uint8 m[16] }; weight d·s · q − dmin·m
  kSuperHalf,  // a superblock: f16 d[16], then int8 s[8][2][16]: one a half group of 16 inputs
  kSuperHalfMin,  // a superblock: f16 d[16], f16 dmin[16], then uint8 [8][2][16]: scale in the low, minimum in the high
                  // nibble
};

struct TileFormat {
  int bits;       // of a stored quant: 2, 3, 4, 5, 6 or 8
  int zero;       // what to subtract from a quant; 0 where a minimum does
  bool codebook;  // 4-bit quants index kIq4Values instead
  ScaleKind scales;

  constexpr bool has_super() const { return scales >= ScaleKind::kSuper; }
  constexpr size_t group_bytes() const { return static_cast<size_t>(bits) * kTileOutputs * kGroupInputs / 8; }
  // Of a group, or of a superblock where has_super().
  constexpr size_t scale_bytes() const {
    switch (scales) {
      case ScaleKind::kGroup:
        return 32;
      case ScaleKind::kGroupMin:
        return 64;
      case ScaleKind::kSuper:
        return 32 + 8 * 16;
      case ScaleKind::kSuperMin:
        return 64 + 8 * 32;
      case ScaleKind::kSuperHalf:
        return 32 + 16 * 16;
      case ScaleKind::kSuperHalfMin:
        return 64 + 16 * 16;
    }
    return 0;
  }
  constexpr size_t tile_bytes(int64_t num_inputs) const {
    const size_t groups = static_cast<size_t>(num_inputs) / kGroupInputs;
    const size_t bytes = groups * group_bytes() + (has_super() ? groups / kSuperGroups : groups) * scale_bytes();
    return (bytes + 63) / 64 * 64;
  }
};

inline constexpr TileFormat kTileQ4_0{4, 8, false, ScaleKind::kGroup};
inline constexpr TileFormat kTileQ4_1{4, 0, false, ScaleKind::kGroupMin};
inline constexpr TileFormat kTileQ5_0{5, 16, false, ScaleKind::kGroup};
inline constexpr TileFormat kTileQ5_1{5, 0, false, ScaleKind::kGroupMin};
inline constexpr TileFormat kTileQ8_0{8, 128, false, ScaleKind::kGroup};
inline constexpr TileFormat kTileQ2_K{2, 0, false, ScaleKind::kSuperHalfMin};
inline constexpr TileFormat kTileQ3_K{3, 4, false, ScaleKind::kSuperHalf};
inline constexpr TileFormat kTileQ4_K{4, 0, false, ScaleKind::kSuperMin};
inline constexpr TileFormat kTileQ5_K{5, 0, false, ScaleKind::kSuperMin};
inline constexpr TileFormat kTileQ6_K{6, 32, false, ScaleKind::kSuperHalf};
inline constexpr TileFormat kTileIQ4_NL{4, 128, true, ScaleKind::kGroup};
inline constexpr TileFormat kTileIQ4_XS{4, 128, true, ScaleKind::kSuper};

// IQ4_NL's 16 values (ggml-common.h, kvalues_iq4nl) + 128.
inline constexpr uint8_t kIq4Values[16] = {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241};

}  // namespace retort
