// AMX's tile registers as tile_loops.h uses them (Intel SDM, "Tile Operations"). Inline assembly, because the
// compilers' intrinsics do not say that a tile load reads memory: GCC 12 drops the stores before it.
#pragma once

#include <stdint.h>

namespace retort::amx {
namespace {

// What LDTILECFG reads: the shapes of the registers.
struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileShapes) == 64);

// Registers 0 … 3: sums; 4, 5: activations; 6, 7: weights.
constexpr TileShapes kGroupShapes = {.row_bytes = {64, 64, 64, 64, 32, 32, 64, 64},
                                     .rows = {16, 16, 16, 16, 16, 16, 8, 8}};

struct TileRegisters {
  class Scope {
   public:
    explicit Scope(const TileShapes& shapes = kGroupShapes) { asm volatile("ldtilecfg %0" : : "m"(shapes) : "memory"); }
    ~Scope() { asm volatile("tilerelease" : : : "memory"); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
  };

  template <int A>
  static void load_rows(const int8_t* rows) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(rows), "r"(int64_t{32}), "i"(4 + A) : "memory");
  }
  template <int B>
  static void load_weights(const uint8_t* quads) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(quads), "r"(int64_t{64}), "i"(6 + B) : "memory");
  }
  template <int C>
  static void clear() {
    asm volatile("tilezero %%tmm%c0" : : "i"(C));
  }
  template <int C, int A, int B, bool kSigned>
  static void dot() {
    if constexpr (kSigned)
      asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(4 + A), "i"(6 + B));
    else
      asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(4 + A), "i"(6 + B));
  }
  template <int C>
  static void store(int32_t* sums) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(sums), "r"(int64_t{64}), "i"(C) : "memory");
  }
};

}  // namespace
}  // namespace retort::amx
