// Tile kernels for AVX-512 VNNI.
#include "kernels/avx512/tile_vector.h"

namespace retort::avx512 {
namespace {

struct F32 {
  static constexpr int kBytes = 64, kInputs = 1;
  static __m512 read(const Byte* p, int, int) { return _mm512_loadu_ps(p); }
};
struct F16 {
  static constexpr int kBytes = 32, kInputs = 1;
  static __m512 read(const Byte* p, int, int) { return TileVector::halves(p); }
};
struct BF16 {
  static constexpr int kBytes = 64, kInputs = 2;
  static __m512 read(const Byte* p, int, int j) {
    const __m512i pair = _mm512_loadu_si512(p);
    return _mm512_castsi512_ps(j == 0 ? _mm512_slli_epi32(pair, 16)
                                      : _mm512_and_si512(pair, _mm512_set1_epi32(-65536)));
  }
};

}  // namespace
}  // namespace retort::avx512

namespace retort {
const TileKernels kAvx512VnniTileKernels =
    make_tile_kernels<avx512::TileVector, avx512::F32, avx512::F16, avx512::BF16>(&kAvx512VnniUnpackedTileKernels);
}  // namespace retort
