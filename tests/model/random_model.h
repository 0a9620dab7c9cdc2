// The tiny models of random blocks that llama.cpp's goldens are of: the same bytes as tests/data/llama/random_model.py
// writes, which says why they are what they are.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "formats/codecs.h"
#include "formats/gguf.h"
#include "formats/temp_dir.h"

namespace retort::testing {

// A 16-bit floating-point number in a block (bf16: also the high half of a float32). The bits of `keep` stay random.
struct BlockNumber {
  size_t offset;
  float value;
  uint16_t keep = 0x003F;
  bool bf16 = false;
};

inline const std::vector<BlockNumber>& block_numbers(TensorType type) {
  constexpr uint16_t kSign = 0x8000;
  constexpr uint16_t kSigned = kSign | 0x3F;
  static const std::map<TensorType, std::vector<BlockNumber>> numbers = {
      {TensorType::kF32, {{2, 0x1p-4f, kSign | 0x7F, true}}},
      {TensorType::kF16, {{0, 0x1p-4f, kSign | 0x3FF}}},
      {TensorType::kBF16, {{0, 0x1p-4f, kSign | 0x7F, true}}},
      {TensorType::kQ8_0, {{0, 0x1p-10f, kSigned}}},
      {TensorType::kQ4_0, {{0, 0x1p-6f, kSigned}}},
      {TensorType::kQ4_1, {{0, 0x1p-6f}, {2, -7.5f * 0x1p-6f}}},
      {TensorType::kQ5_0, {{0, 0x1p-7f, kSigned}}},
      {TensorType::kQ5_1, {{0, 0x1p-7f}, {2, -15.5f * 0x1p-7f}}},
      {TensorType::kQ2_K, {{80, 0x1p-9f}, {82, 1.5f * 0x1p-9f}}},
      {TensorType::kQ3_K, {{108, 0x1p-9f, kSigned}}},
      {TensorType::kQ4_K, {{0, 0x1p-13f}, {2, 7.5f * 0x1p-13f}}},
      {TensorType::kQ5_K, {{0, 0x1p-14f}, {2, 15.5f * 0x1p-14f}}},
      {TensorType::kQ6_K, {{208, 0x1p-14f, kSigned}}},
      {TensorType::kIQ4_NL, {{0, 0x1p-10f, kSigned}}},
      {TensorType::kIQ4_XS, {{0, 0x1p-14f, kSigned}}},
  };
  return numbers.at(type);
}

// splitmix64 seeded with fnv1a(name), little-endian.
inline std::vector<uint8_t> random_bytes(const std::string& name, size_t count) {
  uint64_t seed = 0xCBF29CE484222325u;
  for (unsigned char byte : name) seed = (seed ^ byte) * 0x100000001B3u;
  std::vector<uint8_t> bytes(count);
  for (size_t i = 0; i < count; ++i) {
    uint64_t z = seed + (i / 8 + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z = z ^ (z >> 31);
    bytes[i] = static_cast<uint8_t>(z >> (8 * (i % 8)));
  }
  return bytes;
}

inline std::vector<uint8_t> random_blocks(const std::string& name, TensorType type, size_t num_elements,
                                          const std::vector<BlockNumber>& numbers, float gain = 1) {
  const auto& info = info_of(type);
  auto bytes = random_bytes(name, num_elements / info.block_elements * info.block_bytes);
  for (size_t block = 0; block < bytes.size(); block += info.block_bytes) {
    for (const auto& [offset, value, keep, bf16] : numbers) {
      const float number = value * gain;
      const auto bits = bf16 ? static_cast<uint16_t>(std::bit_cast<uint32_t>(number) >> 16) : f32_to_f16(number);
      uint8_t* word = &bytes[block + offset];
      const auto low = static_cast<uint16_t>(word[0] | word[1] << 8);
      const auto mixed = static_cast<uint16_t>((low & keep) | (bits & ~keep));
      word[0] = static_cast<uint8_t>(mixed);
      word[1] = static_cast<uint8_t>(mixed >> 8);
    }
  }
  return bytes;
}

class RandomModel {
 public:
  static constexpr uint64_t kHidden = 256, kFfn = 512, kHeads = 4, kKvHeads = 2, kHeadDim = 64, kLayers = 2,
                            kVocab = 256;

  explicit RandomModel(TensorType type) : type_(type) {
    add("token_embd.weight", type, {kVocab, kHidden}, block_numbers(type), 64);
    add("output.weight", TensorType::kF32, {kVocab, kHidden}, block_numbers(TensorType::kF32));
    add_vector("output_norm.weight", kHidden, {2, 2.0f, 0x7F, true});
    for (uint64_t i = 0; i < kLayers; ++i) add_layer("blk." + std::to_string(i) + ".");
  }

  // What the blocks stand for, as float32.
  void dequantize_all() {
    for (auto& [name, tensor] : tensors_) {
      if (tensor.type == TensorType::kF32) continue;
      std::vector<float> values(tensor.shape[0] * tensor.shape[1]);
      dequantize(tensor.type, std::as_bytes(std::span(tensor.bytes)), values);
      tensor.bytes.resize(values.size() * sizeof(float));
      std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
      tensor.type = TensorType::kF32;
    }
  }

  std::filesystem::path write(const std::filesystem::path& path) const {
    GgufWriter writer;
    writer.set("general.architecture", std::string("qwen2"));
    const std::pair<const char*, uint64_t> counts[] = {
        {"block_count", kLayers},      {"context_length", 1024},         {"embedding_length", kHidden},
        {"feed_forward_length", kFfn}, {"attention.head_count", kHeads}, {"attention.head_count_kv", kKvHeads}};
    for (const auto& [key, value] : counts) writer.set(std::string("qwen2.") + key, static_cast<uint32_t>(value));
    writer.set("qwen2.attention.layer_norm_rms_epsilon", 1e-6f);
    writer.set("qwen2.rope.freq_base", 10000.0f);
    for (const auto& [name, tensor] : tensors_)
      writer.add_tensor(name, tensor.type, tensor.shape, std::as_bytes(std::span(tensor.bytes)));
    const Status written = writer.write(path);
    EXPECT_TRUE(written) << (written ? "" : written.error().message);
    return path;
  }

 private:
  struct Tensor {
    TensorType type;
    std::vector<uint64_t> shape;
    std::vector<uint8_t> bytes;
  };

  void add(const std::string& name, TensorType type, std::vector<uint64_t> shape,
           const std::vector<BlockNumber>& numbers, float gain = 1) {
    const size_t count = shape.size() == 2 ? shape[0] * shape[1] : shape[0];
    tensors_[name] = {type, std::move(shape), random_blocks(name, type, count, numbers, gain)};
  }
  void add_vector(const std::string& name, uint64_t size, const BlockNumber& number) {
    add(name, TensorType::kF32, {size}, {number});
  }
  void add_layer(const std::string& block) {
    const std::pair<const char*, std::vector<uint64_t>> matrices[] = {{"attn_q", {kHeads * kHeadDim, kHidden}},
                                                                      {"attn_k", {kKvHeads * kHeadDim, kHidden}},
                                                                      {"attn_v", {kKvHeads * kHeadDim, kHidden}},
                                                                      {"attn_output", {kHidden, kHeads * kHeadDim}},
                                                                      {"ffn_gate", {kFfn, kHidden}},
                                                                      {"ffn_up", {kFfn, kHidden}},
                                                                      {"ffn_down", {kHidden, kFfn}}};
    for (const auto& [name, shape] : matrices) add(block + name + ".weight", type_, shape, block_numbers(type_));
    for (const char* norm : {"attn_norm", "ffn_norm"})
      add_vector(block + norm + ".weight", kHidden, {2, 0.5f, 0x7F, true});
    const BlockNumber bias{2, 0.125f, 0x807F, true};
    add_vector(block + "attn_q.bias", kHeads * kHeadDim, bias);
    add_vector(block + "attn_k.bias", kKvHeads * kHeadDim, bias);
    add_vector(block + "attn_v.bias", kKvHeads * kHeadDim, bias);
  }

  TensorType type_;
  std::map<std::string, Tensor> tensors_;
};

}  // namespace retort::testing
