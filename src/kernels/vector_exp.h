// e^x in float32, the one polynomial of every instruction set: x = n ln 2 + r with |r| ≤ ln 2 / 2, e^x = 2^n · p(r). p
// is the minimax polynomial of degree 6 for the relative error (2e-9 before rounding; about 1 ulp after). Below -87 the
// result is 0, above 88 it stays e^88; NaN stays NaN.
#pragma once

namespace retort::exp_constants {

inline constexpr float kLowest = -87.0f, kHighest = 88.0f;
inline constexpr float kLog2E = 1.44269504f;
inline constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;  // n · kLn2High is exact
inline constexpr float kP2 = 0x1.fffffap-2f, kP3 = 0x1.55540ap-3f, kP4 = 0x1.55589ap-5f, kP5 = 0x1.126d0cp-7f,
                       kP6 = 0x1.6ab98p-10f;

}  // namespace retort::exp_constants

namespace retort {

// V: a vector type of kernels/<instruction set>/vector.h.
template <class V>
inline V vector_exp(V x) {
  using namespace exp_constants;
  const V bounded = V::min(V::broadcast(kHighest), V::max(V::broadcast(kLowest), x));
  const V n = V::round(V::mul(bounded, V::broadcast(kLog2E)));
  V r = V::negated_fma(n, V::broadcast(kLn2High), bounded);
  r = V::negated_fma(n, V::broadcast(kLn2Low), r);
  V p = V::broadcast(kP6);
  p = V::fma(p, r, V::broadcast(kP5));
  p = V::fma(p, r, V::broadcast(kP4));
  p = V::fma(p, r, V::broadcast(kP3));
  p = V::fma(p, r, V::broadcast(kP2));
  p = V::fma(p, r, V::broadcast(1.0f));
  p = V::fma(p, r, V::broadcast(1.0f));
  return V::zero_where_less(x, V::broadcast(kLowest), V::mul(p, V::power_of_two(n)));
}

}  // namespace retort
