// The shape and habits of a transformer, read from GGUF metadata or a Hugging Face config.json.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"
#include "formats/hf_folder.h"

namespace retort {

// Which dimensions of a head turn together: (i, i + head_dim / 2), or (2i, 2i + 1).
enum class RopeStyle { kNeox, kInterleaved };

struct RopeScaling {
  enum class Kind { kNone, kLinear, kLlama3, kYarn } kind = Kind::kNone;
  float factor = 1;
  float low_freq_factor = 1, high_freq_factor = 4;  // llama3
  float beta_fast = 32, beta_slow = 1;              // YaRN (arXiv 2309.00071)
  float attention_factor = 1;                       // YaRN: cos and sin are multiplied by it
  int64_t original_context = 0;                     // llama3, YaRN
  // rope_freqs.weight of a GGUF file, [head_dim / 2]; empty when absent.
  std::vector<float> frequency_divisors;
};

struct ModelConfig {
  std::string architecture;  // "qwen2", "qwen3", "llama"
  std::string name;
  int64_t hidden_size = 0, num_layers = 0, num_heads = 0, num_kv_heads = 0, head_dim = 0, ffn_size = 0, vocab_size = 0;
  int64_t max_context = 0;  // positions the model was made for, its rope scaling included
  float rms_eps = 1e-6f;
  float rope_theta = 10000;
  int64_t rope_dim = 0;  // rotated dimensions of a head; = head_dim for all supported
  RopeStyle rope_style = RopeStyle::kNeox;
  RopeScaling rope_scaling;
  bool has_qk_norm = false;     // Qwen3
  bool has_qkv_bias = false;    // Qwen2, and what says attention_bias; else biases are taken where they are
  bool has_mlp_bias = false;    // what says mlp_bias
  bool tie_embeddings = false;  // the head is the embedding matrix
  // Sampling defaults the model's makers recommend (generation_config.json, or general.sampling.* of a GGUF).
  std::optional<float> temperature, top_p, min_p, repetition_penalty;
  std::optional<int> top_k;
};

// Errors name the key, or the architecture and those that are supported.
Result<ModelConfig> config_from_gguf(const Gguf& file);
Result<ModelConfig> config_from_hf(const HfFolder& folder);

// What both readers end with: every number is in a sane range and fits the others.
Status check_config(const ModelConfig& config);
inline constexpr std::string_view kSupportedArchitectures = "llama, qwen2, qwen3";
bool is_supported_architecture(std::string_view name);

}  // namespace retort
