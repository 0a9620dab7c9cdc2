#include "kernels/attention_kernels.h"
#include "kernels/attention_loops.h"
#include "kernels/avx2/vector.h"
#include "kernels/int8_attention_loops.h"

namespace retort::avx2 {
namespace {

// vpmaddwd over the even and the odd numbers of each four: vpmaddubsw would saturate.
struct Dot {
  // 6 sums, a four's even and odd stored numbers, the same of the coded ones: 10 of 16 registers.
  static constexpr int kWidth = 8, kMaxQueries = 6, kVectors = 1;
  using Sum = __m256i;
  struct Coded {
    __m256i even, odd;
  };
  struct Stored {
    __m256i even, odd;
  };

  static Stored load(const uint8_t* p) {
    const __m256i raw = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return {_mm256_and_si256(raw, _mm256_set1_epi16(255)), _mm256_srli_epi16(raw, 8)};
  }
  static Stored load_first(const uint8_t* p, int) { return load(p); }  // head_dim is a multiple of 8
  static Coded coded(const uint32_t* words, int low_offset) {
    return {_mm256_set1_epi32(static_cast<int>(words[0])), _mm256_set1_epi32(static_cast<int>(words[low_offset]))};
  }
  static Sum zero() { return _mm256_setzero_si256(); }
  static Sum dot(Sum sum, Stored stored, Coded x) {
    return _mm256_add_epi32(
        sum, _mm256_add_epi32(_mm256_madd_epi16(stored.even, x.even), _mm256_madd_epi16(stored.odd, x.odd)));
  }
  static Vector value(Sum sum, int start) {
    return {_mm256_cvtepi32_ps(_mm256_add_epi32(sum, _mm256_set1_epi32(start)))};
  }
  static uint32_t code(const float* rounded, uint32_t* words) {
    __m256i sum = _mm256_setzero_si256();
    for (int half = 0; half < 2; ++half) {
      const __m256i a = _mm256_cvtps_epi32(_mm256_loadu_ps(rounded + 16 * half)),
                    b = _mm256_cvtps_epi32(_mm256_loadu_ps(rounded + 16 * half + 8));
      sum = _mm256_add_epi32(sum, _mm256_add_epi32(a, b));
      const __m256 fa = _mm256_castsi256_ps(a), fb = _mm256_castsi256_ps(b);
      const __m256i even = _mm256_castps_si256(_mm256_shuffle_ps(fa, fb, 0b10001000)),
                    odd = _mm256_castps_si256(_mm256_shuffle_ps(fa, fb, 0b11011101));
      // In each half register: fours 0 2 of the even pairs, then of the odd ones (1 3 in the upper half).
      const __m256i pairs =
          _mm256_permutevar8x32_epi32(_mm256_packs_epi32(even, odd), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(words + 4 * half), _mm256_castsi256_si128(pairs));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(words + 8 + 4 * half), _mm256_extracti128_si256(pairs, 1));
    }
    __m128i x = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    x = _mm_add_epi32(x, _mm_shuffle_epi32(x, 0b01001110));
    return _mm_cvtsi128_si32(_mm_add_epi32(x, _mm_shuffle_epi32(x, 0b10110001)));
  }
};

}  // namespace

const AttentionKernels kAttention = {Vector::kMaxQueries,
                                     AttentionLoops<Vector, F32Store>::step,
                                     AttentionLoops<Vector, Bf16Store>::step,
                                     Int8AttentionLoops<Vector, Dot>::step,
                                     code_as_pairs,
                                     join_states<Vector>};

}  // namespace retort::avx2
