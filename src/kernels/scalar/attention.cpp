// The specification of an attention step, one query and one number after another.
#include <math.h>

#include <cstdint>
#include <cstring>

#include "kernels/attention_kernels.h"
#include "kernels/scalar/exp.h"

namespace retort::scalar {
namespace {

float widen(uint16_t bf16) {
  const uint32_t bits = static_cast<uint32_t>(bf16) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

struct F32Block {
  const AttentionStep& step;
  float key(int d, int token) const { return static_cast<const float*>(step.keys)[d * kBlockTokens + token]; }
  float value(int token, int d) const { return static_cast<const float*>(step.values)[token * step.head_dim + d]; }
};

struct Bf16Block {
  const AttentionStep& step;
  float key(int d, int token) const {
    return widen(static_cast<const uint16_t*>(step.keys)[(d / 2 * kBlockTokens + token) * 2 + d % 2]);
  }
  float value(int token, int d) const {
    return widen(static_cast<const uint16_t*>(step.values)[(token / 2 * step.head_dim + d) * 2 + token % 2]);
  }
};

template <class Block>
void step(const AttentionStep& s) {
  const Block block{s};
  for (int q = 0; q < s.num_queries; ++q) {
    float weights[kBlockTokens];
    float max = s.max[q];
    for (int token = 0; token < s.num_visible; ++token) {
      float score = 0;
      for (int d = 0; d < s.head_dim; ++d) score += s.queries[d * s.query_stride + q] * block.key(d, token);
      weights[token] = score;
      if (score > max) max = score;
    }
    const float correction = exp(s.max[q] - max);
    float sum = 0;
    for (int token = 0; token < s.num_visible; ++token) {
      weights[token] = exp(weights[token] - max);
      sum += weights[token];
    }
    s.max[q] = max;
    s.sum[q] = s.sum[q] * correction + sum;
    float* out = s.out + q * s.head_dim;
    for (int d = 0; d < s.head_dim; ++d) {
      float mixed = out[d] * correction;
      for (int token = 0; token < s.num_visible; ++token) mixed += weights[token] * block.value(token, d);
      out[d] = mixed;
    }
  }
}

}  // namespace

const AttentionKernels kAttention = {INT32_MAX, step<F32Block>, step<Bf16Block>};

}  // namespace retort::scalar
