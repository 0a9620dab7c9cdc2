// Takes the compiler's place where kernels for AVX-VNNI and AVX-512 are compiled for machines without: SIMDe's
// functions, and of those the kernels' sources use the few that it lacks. Needs AVX2, FMA and F16C, so that roundings
// are the same.
#pragma once

#include_next <immintrin.h>  // the compiler's: AVX2 and what is below it

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx2.h>
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>

namespace retort::emulated {
namespace {

inline simde__m512i widened(simde__m256i low, simde__m256i high) {
  return simde_mm512_inserti64x4(simde_mm512_castsi256_si512(low), high, 1);
}
inline simde__m512 joined(simde__m256 low, simde__m256 high) {
  return simde_mm512_insertf32x8(simde_mm512_castps256_ps512(low), high, 1);
}
inline simde__m256i low_of(simde__m512i a) { return simde_mm512_castsi512_si256(a); }
inline simde__m256i high_of(simde__m512i a) { return simde_mm512_extracti64x4_epi64(a, 1); }
inline simde__m128i next_eight(simde__m128i a) { return simde_mm_srli_si128(a, 8); }

inline simde__m512i cvtepi8_epi32(simde__m128i a) {
  return widened(simde_mm256_cvtepi8_epi32(a), simde_mm256_cvtepi8_epi32(next_eight(a)));
}
inline simde__m512i cvtepu8_epi32(simde__m128i a) {
  return widened(simde_mm256_cvtepu8_epi32(a), simde_mm256_cvtepu8_epi32(next_eight(a)));
}
inline simde__m512 cvtepi32_ps(simde__m512i a) {
  return joined(simde_mm256_cvtepi32_ps(low_of(a)), simde_mm256_cvtepi32_ps(high_of(a)));
}
inline simde__m512i cvtps_epi32(simde__m512 a) {
  const simde__m512i bits = simde_mm512_castps_si512(a);
  return widened(simde_mm256_cvtps_epi32(simde_mm256_castsi256_ps(low_of(bits))),
                 simde_mm256_cvtps_epi32(simde_mm256_castsi256_ps(high_of(bits))));
}
inline simde__m512 cvtph_ps(simde__m256i a) {
  return joined(simde_mm256_cvtph_ps(simde_mm256_castsi256_si128(a)),
                simde_mm256_cvtph_ps(simde_mm256_extracti128_si256(a, 1)));
}
inline float cvtss_f32(simde__m512 a) { return simde_mm_cvtss_f32(simde_mm512_castps512_ps128(a)); }

template <class Combine>
int32_t reduce(simde__m512i a, Combine combine) {
  alignas(64) int32_t lanes[16];
  simde_mm512_store_si512(lanes, a);
  for (int i = 1; i < 16; ++i) lanes[0] = combine(lanes[0], lanes[i]);
  return lanes[0];
}
inline int32_t reduce_max_epi32(simde__m512i a) {
  return reduce(a, [](int32_t x, int32_t y) { return x > y ? x : y; });
}
inline int32_t reduce_add_epi32(simde__m512i a) {  // wraps around
  return reduce(a, [](int32_t x, int32_t y) { return static_cast<int32_t>(uint32_t(x) + uint32_t(y)); });
}

}  // namespace
}  // namespace retort::emulated

#define _mm512_cvtepi8_epi32(a) ::retort::emulated::cvtepi8_epi32(a)
#define _mm512_cvtepu8_epi32(a) ::retort::emulated::cvtepu8_epi32(a)
#define _mm512_cvtepi32_ps(a) ::retort::emulated::cvtepi32_ps(a)
#define _mm512_cvtps_epi32(a) ::retort::emulated::cvtps_epi32(a)
#define _mm512_cvtph_ps(a) ::retort::emulated::cvtph_ps(a)
#define _mm512_cvtss_f32(a) ::retort::emulated::cvtss_f32(a)
#define _mm512_reduce_max_epi32(a) ::retort::emulated::reduce_max_epi32(a)
#define _mm512_reduce_add_epi32(a) ::retort::emulated::reduce_add_epi32(a)

#define _mm256_dpbusd_avx_epi32(sums, w, a) simde_mm256_dpbusd_epi32(sums, w, a)

// Arguments that are templates have commas.
#undef _mm512_or_si512
#undef _mm512_shuffle_epi8
#define _mm512_or_si512(...) simde_mm512_or_si512(__VA_ARGS__)
#define _mm512_shuffle_epi8(...) simde_mm512_shuffle_epi8(__VA_ARGS__)
