#include "kernels/attention_kernels.h"
#include "kernels/attention_loops.h"
#include "kernels/avx512/vector.h"
#include "kernels/int8_attention_loops.h"

namespace retort::avx512 {
namespace {

// vpdpbusd over the high and the low bytes of the coded numbers apart.
struct Dot {
  // 6 × 2 × 2 sums, two vectors of stored numbers, two of coded ones: 28 of 32 registers.
  static constexpr int kWidth = 16, kMaxQueries = 6, kVectors = 2;
  struct Sum {
    __m512i high, low;
  };
  struct Coded {
    __m512i high, low;
  };
  using Stored = __m512i;

  static Stored load(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static Stored load_first(const uint8_t* p, int n) {
    return _mm512_maskz_loadu_epi32(static_cast<__mmask16>((1u << n) - 1), p);
  }
  static Coded coded(const uint32_t* words, int low_offset) {
    return {_mm512_set1_epi32(static_cast<int>(words[0])), _mm512_set1_epi32(static_cast<int>(words[low_offset]))};
  }
  static Sum zero() { return {_mm512_setzero_si512(), _mm512_setzero_si512()}; }
  static Sum dot(Sum sum, Stored stored, Coded x) {
    return {_mm512_dpbusd_epi32(sum.high, stored, x.high), _mm512_dpbusd_epi32(sum.low, stored, x.low)};
  }
  static Vector value(Sum sum, int start) {
    const __m512i all = _mm512_add_epi32(_mm512_slli_epi32(sum.high, 8), sum.low);
    return {_mm512_cvtepi32_ps(_mm512_add_epi32(all, _mm512_set1_epi32(start)))};
  }
  static uint32_t code(const float* rounded, uint32_t* words) {
    uint32_t sum = 0;
    for (int half = 0; half < 2; ++half) {
      const __m512i x = _mm512_cvtps_epi32(_mm512_loadu_ps(rounded + 16 * half));
      const __m512i high = _mm512_srai_epi32(_mm512_add_epi32(x, _mm512_set1_epi32(128)), 8);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(words + 4 * half), _mm512_cvtepi32_epi8(high));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(words + 8 + 4 * half), _mm512_cvtepi32_epi8(x));
      sum += static_cast<uint32_t>(_mm512_reduce_add_epi32(x));
    }
    return sum;
  }
};

}  // namespace

const AttentionKernels kAttention = {Vector::kMaxQueries,
                                     AttentionLoops<Vector, F32Store>::step,
                                     AttentionLoops<Vector, Bf16Store>::step,
                                     Int8AttentionLoops<Vector, Dot>::step,
                                     code_as_bytes,
                                     join_states<Vector>};

}  // namespace retort::avx512
