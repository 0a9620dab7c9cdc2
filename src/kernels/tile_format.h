// How a tile of 16 outputs holds each quantised type. Plain constants, for packing and for the kernels of every
// instruction set.
//
// A tile over K inputs is a sequence of chunks: the scales of a few groups of 32 inputs, then their quants. One stream
// from the first byte to the last: that is what a hardware prefetcher follows. A chunk is 8 groups (a superblock) for
// K-quants, else 2.
//   quants of a group, planes in this order, bytes of 16 outputs × 4 inputs (o * 4 + j), "quad" q = inputs 4q … 4q+3 of
//   the group
//     4-bit plane, 4 × 64 B: vector v holds quad v in the low and quad v+4 in the high nibbles
//     2-bit plane, 2 × 64 B: vector v holds quad v+2b in bits 2b, 2b+1
//     1-bit plane, 1 × 64 B: bit q is of quad q
//     8-bit plane, 8 × 64 B: vector q is quad q
//   scales: see ScaleKind; each entry is a vector of 16 outputs; filled up to whole cache lines
// Stored quants are unsigned; the weight is scale · (quant − zero) or scale · quant − minimum.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace retort {

inline constexpr int kTileOutputs = 16;
inline constexpr int kGroupInputs = 32;

enum class ScaleKind : uint8_t {
  kGroup,      // a group: f16 d[16]
  kGroupMin,   // a group: f16 d[16], f16 m[16]; weight d · q + m
  kSuper,      // a superblock: f16 d[16], then int8 s[8][16]; scale d · s
  kSuperMin,   // a superblock: f16 d[16], f16 dmin[16], then 8 × { uint8 s[16], uint8 m[16] }; weight d·s · q − dmin·m
  kSuperHalf,  // a superblock: f16 d[16], then int8 s[8][2][16]: one a half group of 16 inputs
  kSuperHalfMin,  // a superblock: f16 d[16], f16 dmin[16], then uint8 [8][2][16]: scale in the low, minimum in the high
                  // nibble
};

constexpr bool has_halves(ScaleKind kind) { return kind >= ScaleKind::kSuperHalf; }
constexpr bool has_minima(ScaleKind kind) {
  return kind == ScaleKind::kGroupMin || kind == ScaleKind::kSuperMin || kind == ScaleKind::kSuperHalfMin;
}

struct TileFormat {
  int bits;       // of a stored quant: 2, 3, 4, 5, 6 or 8
  int zero;       // what to subtract from a quant; 0 where a minimum does
  bool codebook;  // 4-bit quants index kIq4Values instead
  ScaleKind scales;

  constexpr bool has_super() const { return scales >= ScaleKind::kSuper; }
  constexpr int chunk_groups() const { return has_super() ? 8 : 2; }
  constexpr size_t group_bytes() const { return static_cast<size_t>(bits) * kTileOutputs * kGroupInputs / 8; }
  // Of one entry: a group's, or a superblock's where has_super().
  constexpr size_t entry_bytes() const {
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
  // Where the quants of a chunk begin.
  constexpr size_t chunk_scale_bytes() const { return ((has_super() ? 1 : 2) * entry_bytes() + 63) / 64 * 64; }
  constexpr size_t chunk_bytes() const {
    return chunk_scale_bytes() + static_cast<size_t>(chunk_groups()) * group_bytes();
  }
  constexpr size_t tile_bytes(int64_t num_inputs) const {
    const int64_t chunk_inputs = kGroupInputs * chunk_groups();
    return static_cast<size_t>((num_inputs + chunk_inputs - 1) / chunk_inputs) * chunk_bytes();
  }
  // Offsets in a tile of a group's scales and quants.
  constexpr size_t entry_offset(int64_t group) const {
    const auto in_chunk = static_cast<size_t>(group % chunk_groups());
    return static_cast<size_t>(group / chunk_groups()) * chunk_bytes() + (has_super() ? 0 : in_chunk * entry_bytes());
  }
  constexpr size_t group_offset(int64_t group) const {
    const auto in_chunk = static_cast<size_t>(group % chunk_groups());
    return static_cast<size_t>(group / chunk_groups()) * chunk_bytes() + chunk_scale_bytes() + in_chunk * group_bytes();
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
