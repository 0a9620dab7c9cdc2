#include "kernels/pack_tile.h"

#include <cstring>

#include "base/result.h"

namespace retort {
namespace {

using Byte = unsigned char;

// Quants of one output's group (32 values) to their places in the group's planes.
template <const TileFormat& kFormat>
void put_quants(const uint8_t* u, int o, Byte* group) {
  if constexpr (kFormat.bits == 8) {
    for (int q = 0; q < 8; ++q) std::memcpy(group + q * 64 + o * 4, u + 4 * q, 4);
    return;
  }
  int shift = 0;
  if constexpr ((kFormat.bits & 4) != 0) {
    uint8_t plane[16];
    for (int i = 0; i < 16; ++i) plane[i] = static_cast<uint8_t>((u[i] & 15) | (u[i + 16] & 15) << 4);
    for (int v = 0; v < 4; ++v) std::memcpy(group + v * 64 + o * 4, plane + 4 * v, 4);
    group += 256;
    shift = 4;
  }
  if constexpr ((kFormat.bits & 2) != 0) {
    uint8_t plane[8] = {};
    for (int b = 0; b < 4; ++b)
      for (int i = 0; i < 8; ++i) plane[i] = static_cast<uint8_t>(plane[i] | ((u[8 * b + i] >> shift) & 3) << (2 * b));
    for (int v = 0; v < 2; ++v) std::memcpy(group + v * 64 + o * 4, plane + 4 * v, 4);
    group += 128;
    shift += 2;
  }
  if constexpr ((kFormat.bits & 1) != 0) {
    uint8_t plane[4] = {};
    for (int q = 0; q < 8; ++q)
      for (int j = 0; j < 4; ++j) plane[j] = static_cast<uint8_t>(plane[j] | ((u[4 * q + j] >> shift) & 1) << q);
    std::memcpy(group + o * 4, plane, 4);
  }
}

void put_half(const Byte* from, Byte* entry, int o) { std::memcpy(entry + 2 * o, from, 2); }

void nibbles(const Byte* qs, uint8_t* u) {
  for (int i = 0; i < 16; ++i) {
    u[i] = qs[i] & 15;
    u[i + 16] = qs[i] >> 4;
  }
}

void fifth_bits(const Byte* qh, uint8_t* u) {
  uint32_t bits;
  std::memcpy(&bits, qh, 4);
  for (int i = 0; i < 32; ++i) u[i] = static_cast<uint8_t>(u[i] | ((bits >> i) & 1) << 4);
}

// Each source says how many groups a block has, its bytes, its packed format; quants(block, group, u[32]) and
// scales(block, o, entry), where entry is of the group, or of the superblock. Block layouts: ggml-common.h.
struct Q4_0 {
  static constexpr const TileFormat& kFormat = kTileQ4_0;
  static constexpr int kBytes = 18;
  static void quants(const Byte* b, int, uint8_t* u) { nibbles(b + 2, u); }
  static void scales(const Byte* b, int o, Byte* entry) { put_half(b, entry, o); }
};

struct IQ4_NL : Q4_0 {
  static constexpr const TileFormat& kFormat = kTileIQ4_NL;
};

struct Q4_1 {
  static constexpr const TileFormat& kFormat = kTileQ4_1;
  static constexpr int kBytes = 20;
  static void quants(const Byte* b, int, uint8_t* u) { nibbles(b + 4, u); }
  static void scales(const Byte* b, int o, Byte* entry) {
    put_half(b, entry, o);
    put_half(b + 2, entry + 32, o);
  }
};

struct Q5_0 {
  static constexpr const TileFormat& kFormat = kTileQ5_0;
  static constexpr int kBytes = 22;
  static void quants(const Byte* b, int, uint8_t* u) {
    nibbles(b + 6, u);
    fifth_bits(b + 2, u);
  }
  static void scales(const Byte* b, int o, Byte* entry) { put_half(b, entry, o); }
};

struct Q5_1 {
  static constexpr const TileFormat& kFormat = kTileQ5_1;
  static constexpr int kBytes = 24;
  static void quants(const Byte* b, int, uint8_t* u) {
    nibbles(b + 8, u);
    fifth_bits(b + 4, u);
  }
  static void scales(const Byte* b, int o, Byte* entry) { Q4_1::scales(b, o, entry); }
};

struct Q8_0 {
  static constexpr const TileFormat& kFormat = kTileQ8_0;
  static constexpr int kBytes = 34;
  static void quants(const Byte* b, int, uint8_t* u) {
    for (int i = 0; i < 32; ++i) u[i] = b[2 + i] ^ 0x80;
  }
  static void scales(const Byte* b, int o, Byte* entry) { put_half(b, entry, o); }
};

struct IQ4_XS {
  static constexpr const TileFormat& kFormat = kTileIQ4_XS;
  static constexpr int kBytes = 136;
  static void quants(const Byte* b, int g, uint8_t* u) { nibbles(b + 8 + 16 * g, u); }
  static void scales(const Byte* b, int o, Byte* entry) {
    put_half(b, entry, o);
    uint16_t high;
    std::memcpy(&high, b + 2, 2);
    for (int g = 0; g < 8; ++g) {
      const int low = (b[4 + g / 2] >> (4 * (g % 2))) & 15;
      entry[32 + 16 * g + o] = static_cast<Byte>((low | ((high >> (2 * g)) & 3) << 4) - 32);
    }
  }
};

struct Q2_K {
  static constexpr const TileFormat& kFormat = kTileQ2_K;
  static constexpr int kBytes = 84;
  static void quants(const Byte* b, int g, uint8_t* u) {
    const Byte* qs = b + 16 + 32 * (g / 4);
    for (int i = 0; i < 32; ++i) u[i] = (qs[i] >> (2 * (g % 4))) & 3;
  }
  static void scales(const Byte* b, int o, Byte* entry) {
    put_half(b + 80, entry, o);
    put_half(b + 82, entry + 32, o);
    for (int i = 0; i < 16; ++i) entry[64 + 16 * i + o] = b[i];
  }
};

struct Q3_K {
  static constexpr const TileFormat& kFormat = kTileQ3_K;
  static constexpr int kBytes = 110;
  static void quants(const Byte* b, int g, uint8_t* u) {
    const Byte* qs = b + 32 + 32 * (g / 4);
    for (int i = 0; i < 32; ++i) u[i] = static_cast<uint8_t>(((qs[i] >> (2 * (g % 4))) & 3) | ((b[i] >> g) & 1) << 2);
  }
  static void scales(const Byte* b, int o, Byte* entry) {
    put_half(b + 108, entry, o);
    const Byte* s = b + 96;
    for (int i = 0; i < 16; ++i) {
      const int low = i < 8 ? s[i] & 15 : s[i - 8] >> 4, high = (s[8 + i % 4] >> (2 * (i / 4))) & 3;
      entry[32 + 16 * i + o] = static_cast<Byte>((low | high << 4) - 32);
    }
  }
};

struct Q4_K {
  static constexpr const TileFormat& kFormat = kTileQ4_K;
  static constexpr int kBytes = 144;
  static void quants(const Byte* b, int g, uint8_t* u) {
    const Byte* qs = b + 16 + 32 * (g / 2);
    for (int i = 0; i < 32; ++i) u[i] = (qs[i] >> (4 * (g % 2))) & 15;
  }
  static void scales(const Byte* b, int o, Byte* entry) {
    put_half(b, entry, o);
    put_half(b + 2, entry + 32, o);
    const Byte* s = b + 4;
    for (int g = 0; g < 8; ++g) {
      const int scale = g < 4 ? s[g] & 63 : (s[g + 4] & 15) | (s[g - 4] >> 6) << 4;
      const int min = g < 4 ? s[g + 4] & 63 : s[g + 4] >> 4 | (s[g] >> 6) << 4;
      entry[64 + 32 * g + o] = static_cast<Byte>(scale);
      entry[64 + 32 * g + 16 + o] = static_cast<Byte>(min);
    }
  }
};

struct Q5_K {
  static constexpr const TileFormat& kFormat = kTileQ5_K;
  static constexpr int kBytes = 176;
  static void quants(const Byte* b, int g, uint8_t* u) {
    const Byte *qh = b + 16, *qs = b + 48 + 32 * (g / 2);
    for (int i = 0; i < 32; ++i) u[i] = static_cast<uint8_t>(((qs[i] >> (4 * (g % 2))) & 15) | ((qh[i] >> g) & 1) << 4);
  }
  static void scales(const Byte* b, int o, Byte* entry) { Q4_K::scales(b, o, entry); }
};

struct Q6_K {
  static constexpr const TileFormat& kFormat = kTileQ6_K;
  static constexpr int kBytes = 210;
  static void quants(const Byte* b, int g, uint8_t* u) {
    const int n = g / 4, j = g % 4;
    const Byte *ql = b + 64 * n + 32 * (j & 1), *qh = b + 128 + 32 * n;
    for (int i = 0; i < 32; ++i)
      u[i] = static_cast<uint8_t>(((ql[i] >> (4 * (j >> 1))) & 15) | ((qh[i] >> (2 * j)) & 3) << 4);
  }
  static void scales(const Byte* b, int o, Byte* entry) {
    put_half(b + 208, entry, o);
    for (int i = 0; i < 16; ++i) entry[32 + 16 * i + o] = b[192 + i];
  }
};

template <class Source>
void pack_quant_tile(const Byte* rows, size_t row_bytes, int num_rows, int64_t num_inputs, Byte* tile) {
  constexpr TileFormat kFormat = Source::kFormat;
  constexpr int kGroupsPerBlock = kFormat.has_super() ? kFormat.chunk_groups() : 1;
  for (int64_t first = 0; first < num_inputs / kGroupInputs; first += kGroupsPerBlock) {
    for (int o = 0; o < num_rows; ++o) {
      const Byte* block =
          rows + static_cast<size_t>(o) * row_bytes + static_cast<size_t>(first / kGroupsPerBlock) * Source::kBytes;
      for (int g = 0; g < kGroupsPerBlock; ++g) {
        uint8_t u[kGroupInputs];
        Source::quants(block, g, u);
        put_quants<Source::kFormat>(u, o, tile + kFormat.group_offset(first + g));
      }
      Source::scales(block, o, tile + kFormat.entry_offset(first));
    }
  }
}

// Floats: input by input, 16 outputs side by side; bf16 two inputs at a time.
template <int kBytes, int kInputsTogether>
void pack_float_tile(const Byte* rows, size_t row_bytes, int num_rows, int64_t num_inputs, Byte* tile) {
  for (int o = 0; o < num_rows; ++o)
    for (int64_t k = 0; k < num_inputs; ++k)
      std::memcpy(tile + ((k / kInputsTogether * kTileOutputs + o) * kInputsTogether + k % kInputsTogether) * kBytes,
                  rows + static_cast<size_t>(o) * row_bytes + static_cast<size_t>(k) * kBytes, kBytes);
}

struct Packing {
  TensorType type;
  const TileFormat* format;
  PackTile pack;
};

template <class Source>
constexpr Packing packing(TensorType type) {
  return {type, &Source::kFormat, pack_quant_tile<Source>};
}

constexpr Packing kPackings[] = {
    packing<Q4_0>(TensorType::kQ4_0),
    packing<Q4_1>(TensorType::kQ4_1),
    packing<Q5_0>(TensorType::kQ5_0),
    packing<Q5_1>(TensorType::kQ5_1),
    packing<Q8_0>(TensorType::kQ8_0),
    packing<Q2_K>(TensorType::kQ2_K),
    packing<Q3_K>(TensorType::kQ3_K),
    packing<Q4_K>(TensorType::kQ4_K),
    packing<Q5_K>(TensorType::kQ5_K),
    packing<Q6_K>(TensorType::kQ6_K),
    packing<IQ4_NL>(TensorType::kIQ4_NL),
    packing<IQ4_XS>(TensorType::kIQ4_XS),
    {TensorType::kF32, nullptr, pack_float_tile<4, 1>},
    {TensorType::kF16, nullptr, pack_float_tile<2, 1>},
    {TensorType::kBF16, nullptr, pack_float_tile<2, 2>},
};

const Packing& packing_of(TensorType type) {
  for (const auto& entry : kPackings)
    if (entry.type == type) return entry;
  check_failed("every tensor type has a packing", __FILE__, __LINE__);
}

}  // namespace

const TileFormat* tile_format(TensorType type) { return packing_of(type).format; }
PackTile pack_tile_function(TensorType type) { return packing_of(type).pack; }

}  // namespace retort
