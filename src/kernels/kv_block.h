// How a block of 32 tokens holds keys and values, and how new ones get there. Plain data and functions of the engine
// thread.
//
// A block holds, for each KV head, keys, then values (and for int8 their scales):
//   f32   keys [head_dim][32]        values [32][head_dim]
//   bf16  keys [head_dim/2][32][2]   values [32/2][head_dim][2]
//   int8  keys [head_dim/4][32][4]   values [32/4][head_dim][4]   float key scales [32], value scales [32]
// The scores of 32 tokens come out in vector lanes, with no sum across lanes; pairs of bf16 and fours of int8 are what
// dot-product units multiply. int8 numbers are stored as q + 128, q = round(x / scale), scale = max|x| / 127 of the
// token's head.
#pragma once

#include <cstddef>
#include <cstdint>

namespace retort {

inline constexpr int kBlockTokens = 32;  // tokens in a KV block

enum class KvType : uint8_t { kF32, kBF16, kInt8 };

// One layer's view of the KV store.
struct KvLayerView {
  std::byte* base;      // block 0
  size_t block_stride;  // bytes from block to block
  KvType type;
  int num_kv_heads;
  int head_dim;  // multiple of 8
  // [num_kv_heads, head_dim] or null. With int8 a key is divided by these before it gets its one scale, and queries are
  // multiplied by them: channels that are large for every token (Qwen2's key biases) leave the others their bits.
  // Equal for the two dimensions of a rotary pair, or they would not commute with the rotation.
  const float* key_scales = nullptr;
};

// Bytes of one layer's keys and values in one block.
size_t kv_block_bytes(KvType type, int num_kv_heads, int head_dim);
// From a head's keys to its values.
size_t kv_values_offset(KvType type, int head_dim);
std::byte* kv_head_of_block(const KvLayerView& kv, int32_t block, int kv_head);

// New tokens [token, token + num_tokens) of one block and KV head, from rows of `stride` floats.
struct KvRows {
  const float* keys;
  const float* values;
  int64_t stride;
  int token, num_tokens;
};
void store_kv(const KvRows& rows, const KvLayerView& kv, int32_t block, int kv_head);

}  // namespace retort
