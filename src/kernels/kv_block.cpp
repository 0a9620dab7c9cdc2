#include "kernels/kv_block.h"

#include <algorithm>
#include <cmath>

#include "formats/codecs.h"
#include "kernels/attention_kernels.h"
#include "kernels/magnitude.h"

namespace retort {
namespace {

size_t element_bytes(KvType type) { return type == KvType::kF32 ? 4 : type == KvType::kBF16 ? 2 : 1; }

void store_f32(const KvRows& rows, int head_dim, std::byte* block) {
  float* keys = reinterpret_cast<float*>(block);
  float* values = keys + head_dim * kBlockTokens;
  for (int d = 0; d < head_dim; ++d)
    for (int i = 0; i < rows.num_tokens; ++i) keys[d * kBlockTokens + rows.token + i] = rows.keys[i * rows.stride + d];
  for (int i = 0; i < rows.num_tokens; ++i)
    std::copy_n(rows.values + i * rows.stride, head_dim, values + (rows.token + i) * head_dim);
}

void store_bf16(const KvRows& rows, int head_dim, std::byte* block) {
  uint16_t* keys = reinterpret_cast<uint16_t*>(block);
  uint16_t* values = keys + head_dim * kBlockTokens;
  for (int d = 0; d < head_dim; ++d)
    for (int i = 0; i < rows.num_tokens; ++i)
      keys[(d / 2 * kBlockTokens + rows.token + i) * 2 + d % 2] = f32_to_bf16(rows.keys[i * rows.stride + d]);
  for (int i = 0; i < rows.num_tokens; ++i) {
    const int token = rows.token + i;
    uint16_t* pair = values + token / 2 * 2 * head_dim + token % 2;
    for (int d = 0; d < head_dim; ++d) pair[2 * d] = f32_to_bf16(rows.values[i * rows.stride + d]);
  }
}

// x[d] / divisors[d] as 127 steps to either side; place(d) is where the number of dimension d goes. Returns the scale:
// NaN if one of x is.
template <class Place>
float quantise(const float* x, const float* divisors, int head_dim, Place place) {
  const auto divided = [&](int d) { return divisors == nullptr ? x[d] : x[d] / divisors[d]; };
  float scaled[kMaxHeadDim];
  for (int d = 0; d < head_dim; ++d) scaled[d] = divided(d);
  const float largest = largest_magnitude(scaled, head_dim);
  const float inverse = largest > 1e-30f ? 127.0f / largest : 0.0f;
  for (int d = 0; d < head_dim; ++d) *place(d) = static_cast<uint8_t>(std::lrint(scaled[d] * inverse) + 128);
  return largest / 127.0f;
}

void store_int8(const KvRows& rows, int head_dim, const float* key_scales, std::byte* block) {
  uint8_t* keys = reinterpret_cast<uint8_t*>(block);
  uint8_t* values = keys + head_dim * kBlockTokens;
  float* scales = reinterpret_cast<float*>(values + head_dim * kBlockTokens);
  for (int i = 0; i < rows.num_tokens; ++i) {
    const int token = rows.token + i;
    scales[token] = quantise(rows.keys + i * rows.stride, key_scales, head_dim,
                             [&](int d) { return keys + (d / 4 * kBlockTokens + token) * 4 + d % 4; });
    const float value_scale = quantise(rows.values + i * rows.stride, nullptr, head_dim,
                                       [&](int d) { return values + (token / 4 * head_dim + d) * 4 + token % 4; });
    scales[kBlockTokens + token] = value_scale;
    if (std::isnan(value_scale)) scales[token] = value_scale;  // makes the sum of weights NaN for who sees this token
  }
}

}  // namespace

size_t kv_values_offset(KvType type, int head_dim) {
  return element_bytes(type) * static_cast<size_t>(head_dim) * kBlockTokens;
}

size_t kv_block_bytes(KvType type, int num_kv_heads, int head_dim) {
  const size_t scales = type == KvType::kInt8 ? 2 * sizeof(float) * kBlockTokens : 0;
  return static_cast<size_t>(num_kv_heads) * (2 * kv_values_offset(type, head_dim) + scales);
}

std::byte* kv_head_of_block(const KvLayerView& kv, int32_t block, int kv_head) {
  return kv.base + static_cast<size_t>(block) * kv.block_stride +
         static_cast<size_t>(kv_head) * kv_block_bytes(kv.type, 1, kv.head_dim);
}

void store_kv(const KvRows& rows, const KvLayerView& kv, int32_t block, int kv_head) {
  std::byte* target = kv_head_of_block(kv, block, kv_head);
  switch (kv.type) {
    case KvType::kF32:
      return store_f32(rows, kv.head_dim, target);
    case KvType::kBF16:
      return store_bf16(rows, kv.head_dim, target);
    case KvType::kInt8:
      return store_int8(rows, kv.head_dim, kv.key_scales == nullptr ? nullptr : kv.key_scales + kv_head * kv.head_dim,
                        target);
  }
}

}  // namespace retort
