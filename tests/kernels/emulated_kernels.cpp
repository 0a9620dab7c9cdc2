// The sources of the kernels themselves, over emulation/immintrin.h. Compiled for AVX2, so kernels/ headers and
// intrinsics only.
#define kAvxVnniTileKernels kEmulatedAvxVnniTileKernels
#define kAvx512VnniTileKernels kEmulatedAvx512VnniTileKernels
#define kAvx512VnniUnpackedTileKernels kEmulatedAvx512VnniUnpackedTileKernels

#include "kernels/emulated_kernels.h"

#include <string.h>

#include "kernels/amx/tile_loops.h"
#include "kernels/avx512/tile.cpp"
#include "kernels/avx512/unpacked_tile.cpp"
#include "kernels/avxvnni/tile.cpp"

namespace retort {
namespace {

// What the instructions do (Intel SDM, "Tile Operations"), in the shapes of amx/tile_registers.h.
struct TilesInMemory {
  struct Scope {
    Scope() { memset(registers().sums, 0xff, sizeof(registers().sums)); }  // sums nobody cleared are wrong
  };

  template <int A>
  static void load_rows(const int8_t* rows) {
    memcpy(registers().rows[A], rows, sizeof(registers().rows[A]));
  }
  template <int B>
  static void load_weights(const uint8_t* quads) {
    memcpy(registers().weights[B], quads, sizeof(registers().weights[B]));
  }
  template <int C>
  static void clear() {
    memset(registers().sums[C], 0, sizeof(registers().sums[C]));
  }
  template <int C, int A, int B, bool kSigned>
  static void dot() {
    for (int row = 0; row < 16; ++row)
      for (int output = 0; output < 16; ++output)
        for (int input = 0; input < 32; ++input) {
          const uint8_t w = registers().weights[B][input / 4][output][input % 4];
          registers().sums[C][row][output] +=
              registers().rows[A][row][input] * (kSigned ? static_cast<int8_t>(w) : static_cast<int>(w));
        }
  }
  template <int C>
  static void store(int32_t* sums) {
    memcpy(sums, registers().sums[C], sizeof(registers().sums[C]));
  }

 private:
  struct Registers {
    int32_t sums[4][16][16];
    int8_t rows[2][16][32];
    uint8_t weights[2][8][16][4];
  };
  static Registers& registers() {
    static Registers all;
    return all;
  }
};

}  // namespace

const TileKernels kEmulatedAmxTileKernels = amx::make_tile_kernels<TilesInMemory>();

}  // namespace retort
