// The specification of an attention step, one query and one number after another.
#include <math.h>

#include <cstdint>
#include <cstring>

#include "kernels/attention_kernels.h"
#include "kernels/kv_block.h"
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

// Coded numbers are kept two to a word, in order.
void code(const int16_t* x, int num_fours, int stride, int low_offset, uint32_t* words) {
  for (int i = 0; i < num_fours; ++i, x += 4) {
    std::memcpy(words + i * stride, x, 4);
    std::memcpy(words + low_offset + i * stride, x + 2, 4);
  }
}

int coded(const CodedQueries& queries, int d, int stride, int q) {
  int16_t pair[2];
  std::memcpy(pair, queries.words + (d % 4 < 2 ? 0 : queries.low_offset) + d / 4 * stride + q, 4);
  return pair[d % 2];
}

struct Int8Block {
  const AttentionStep& step;
  const uint8_t* bytes() const { return static_cast<const uint8_t*>(step.keys); }
  const float* scales() const { return reinterpret_cast<const float*>(bytes() + 2 * step.head_dim * kBlockTokens); }
  int key(int d, int token) const { return bytes()[(d / 4 * kBlockTokens + token) * 4 + d % 4] - 128; }
  int value(int token, int d) const {
    return bytes()[step.head_dim * kBlockTokens + (token / 4 * step.head_dim + d) * 4 + token % 4] - 128;
  }
};

// Sums of products of integers are exact. Weights times value scales become integers of kMaxCoded at most.
void step_int8(const AttentionStep& s) {
  const Int8Block block{s};
  for (int q = 0; q < s.num_queries; ++q) {
    float weights[kBlockTokens];
    float max = s.max[q];
    for (int token = 0; token < s.num_visible; ++token) {
      int score = 0;
      for (int d = 0; d < s.head_dim; ++d) score += coded(s.coded, d, s.query_stride, q) * block.key(d, token);
      weights[token] = static_cast<float>(score) * s.coded.scales[q] * block.scales()[token];
      if (weights[token] > max) max = weights[token];
    }
    const float correction = exp(s.max[q] - max);
    float sum = 0, largest = 0;
    for (int token = 0; token < s.num_visible; ++token) {
      weights[token] = exp(weights[token] - max);
      sum += weights[token];
      weights[token] *= block.scales()[kBlockTokens + token];
      if (weights[token] > largest) largest = weights[token];
    }
    s.max[q] = max;
    s.sum[q] = s.sum[q] * correction + sum;
    const float inverse = largest > 1e-30f ? kMaxCoded / largest : 0.0f;
    float* out = s.out + q * s.head_dim;
    for (int d = 0; d < s.head_dim; ++d) {
      int mixed = 0;
      for (int token = 0; token < s.num_visible; ++token)
        mixed += static_cast<int>(lrintf(weights[token] * inverse)) * block.value(token, d);
      out[d] = fmaf(static_cast<float>(mixed), largest / kMaxCoded, out[d] * correction);
    }
  }
}

void join(const AttentionState& state, const AttentionState& other, int64_t num_queries, int head_dim) {
  for (int64_t q = 0; q < num_queries; ++q) {
    const float max = state.max[q] > other.max[q] ? state.max[q] : other.max[q];
    const float mine = exp(state.max[q] - max), its = exp(other.max[q] - max);
    state.max[q] = max;
    state.sum[q] = state.sum[q] * mine + other.sum[q] * its;
    for (int64_t i = q * head_dim; i < (q + 1) * head_dim; ++i) state.out[i] = state.out[i] * mine + other.out[i] * its;
  }
}

}  // namespace

const AttentionKernels kAttention = {INT32_MAX, step<F32Block>, step<Bf16Block>, step_int8, code, join};

}  // namespace retort::scalar
