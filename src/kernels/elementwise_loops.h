// The functions of elementwise.h over any vector type; included only by kernels/<instruction set>/elementwise.cpp.
#pragma once

#include <math.h>

#include <cstdint>

#include "kernels/vector_exp.h"

namespace retort {

template <class V>
struct ElementwiseLoops {
  static constexpr int64_t kWidth = V::kWidth;

  static void rms_norm(const float* x, const float* weight, float eps, int64_t size, float* out) {
    V sums[4] = {V::zero(), V::zero(), V::zero(), V::zero()};
    int64_t i = 0;
    for (; i + 4 * kWidth <= size; i += 4 * kWidth)
      for (int j = 0; j < 4; ++j) {
        const V part = V::load(x + i + j * kWidth);
        sums[j] = V::fma(part, part, sums[j]);
      }
    for (; i < size; i += kWidth) {
      const V part = load(x, i, size);
      sums[0] = V::fma(part, part, sums[0]);
    }
    const float sum = V::add(V::add(sums[0], sums[1]), V::add(sums[2], sums[3])).sum();
    const V scale = V::broadcast(1.0f / sqrtf(sum / static_cast<float>(size) + eps));
    for (i = 0; i < size; i += kWidth)
      store(V::mul(V::mul(load(x, i, size), scale), load(weight, i, size)), out, i, size);
  }

  static void rope_neox(float* head, const float* cos, const float* sin, int64_t head_dim) {
    const int64_t half = head_dim / 2;
    for (int64_t i = 0; i < half; i += kWidth) {
      const V a = load(head, i, half), b = load(head + half, i, half);
      const V c = load(cos, i, half), s = load(sin, i, half);
      store(V::negated_fma(b, s, V::mul(a, c)), head, i, half);
      store(V::fma(a, s, V::mul(b, c)), head + half, i, half);
    }
  }

  static void rope_interleaved(float* head, const float* cos, const float* sin, int64_t head_dim) {
    int64_t i = 0;
    for (; i + kWidth <= head_dim; i += kWidth) {
      const V x = V::load(head + i);
      const V c = V::load_twice(cos + i / 2), s = V::negate_even(V::load_twice(sin + i / 2));
      V::fma(V::swap_neighbours(x), s, V::mul(x, c)).store(head + i);
    }
    for (; i < head_dim; i += 2) {
      const float a = head[i], b = head[i + 1], c = cos[i / 2], s = sin[i / 2];
      head[i] = a * c - b * s;
      head[i + 1] = a * s + b * c;
    }
  }

  static void silu_mul(const float* gate, const float* up, int64_t size, float* out) {
    const V one = V::broadcast(1.0f), minus_one = V::broadcast(-1.0f);
    for (int64_t i = 0; i < size; i += kWidth) {
      const V g = load(gate, i, size);
      const V silu = V::div(g, V::add(one, vector_exp(V::mul(g, minus_one))));
      store(V::mul(silu, load(up, i, size)), out, i, size);
    }
  }

 private:
  static V load(const float* p, int64_t i, int64_t size) {
    return i + kWidth <= size ? V::load(p + i) : V::load_first(p + i, static_cast<int>(size - i));
  }
  static void store(V value, float* p, int64_t i, int64_t size) {
    if (i + kWidth <= size)
      value.store(p + i);
    else
      value.store_first(p + i, static_cast<int>(size - i));
  }
};

}  // namespace retort
