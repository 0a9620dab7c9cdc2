// Keys: ggml docs/gguf.md, and what llama.cpp's loader reads for these architectures.
#include <algorithm>
#include <array>
#include <cmath>

#include "formats/codecs.h"
#include "model/config.h"

namespace retort {
namespace {

// Keys of one architecture, "qwen2.block_count" and so on.
class Keys {
 public:
  Keys(const Gguf& file, std::string_view architecture) : file_(file), prefix_(std::string(architecture) + ".") {}

  std::string full(std::string_view key) const { return prefix_ + std::string(key); }
  bool has(std::string_view key) const { return file_.has(full(key)); }
  Result<int64_t> count(std::string_view key) const { return file_.get_int(full(key)); }
  Result<int64_t> count_or(std::string_view key, int64_t fallback) const {
    return has(key) ? count(key) : Result<int64_t>(fallback);
  }
  Result<float> number(std::string_view key) const {
    RETORT_ASSIGN(const double value, file_.get_float(full(key)));
    return static_cast<float>(value);
  }
  Result<float> number_or(std::string_view key, float fallback) const {
    return has(key) ? number(key) : Result<float>(fallback);
  }
  Result<std::string> text_or(std::string_view key, std::string fallback) const {
    return has(key) ? file_.get_string(full(key)) : Result<std::string>(std::move(fallback));
  }

 private:
  const Gguf& file_;
  std::string prefix_;
};

// Variants of these architectures that compute something else. Zero, where the key is there, means unused.
Status refuse_variants(const Keys& keys, int64_t max_context) {
  for (std::string_view key : {"expert_count", "attention.scale", "attention.clamp_kqv", "logit_scale",
                               "residual_scale", "embedding_scale", "rope.scaling.yarn_log_multiplier"}) {
    if (!keys.has(key)) continue;
    const auto whole = keys.count(key);
    RETORT_ASSIGN(const float value, whole ? Result<float>(static_cast<float>(*whole)) : keys.number(key));
    if (value != 0) return fail(ErrorKind::kUnsupported, "[gguf] key {}: {} is not supported", keys.full(key), value);
  }
  RETORT_ASSIGN(const int64_t window, keys.count_or("attention.sliding_window", 0));
  if (window > 0 && window < max_context)
    return fail(ErrorKind::kUnsupported,
                "[gguf] key {}: sliding-window attention ({} of {} positions) is not supported",
                keys.full("attention.sliding_window"), window, max_context);
  return {};
}

Status read_yarn(const Keys& keys, RopeScaling& scaling) {
  RETORT_ASSIGN(scaling.beta_fast, keys.number_or("rope.scaling.yarn_beta_fast", 32));
  RETORT_ASSIGN(scaling.beta_slow, keys.number_or("rope.scaling.yarn_beta_slow", 1));
  RETORT_ASSIGN(const float mix, keys.number_or("rope.scaling.yarn_ext_factor", 1));
  if (mix != 1)
    return fail(ErrorKind::kUnsupported, "[gguf] key {}: supported is 1, got {}",
                keys.full("rope.scaling.yarn_ext_factor"), mix);
  RETORT_ASSIGN(const float attention, keys.number_or("rope.scaling.attn_factor", 1));
  RETORT_ASSIGN(const float yarn_attention, keys.number_or("rope.scaling.yarn_attn_factor", 1));
  scaling.attention_factor = attention * yarn_attention * (0.1f * std::log(scaling.factor) + 1.0f);
  return {};
}

Status read_rope(const Gguf& file, const Keys& keys, ModelConfig& config) {
  RETORT_ASSIGN(config.rope_theta, keys.number_or("rope.freq_base", 10000));
  RETORT_ASSIGN(config.rope_dim, keys.count_or("rope.dimension_count", config.head_dim));
  RopeScaling& scaling = config.rope_scaling;
  RETORT_ASSIGN(scaling.original_context, keys.count_or("rope.scaling.original_context_length", config.max_context));
  // Files from before rope.scaling.type was invented carry a bare linear factor; a factor of 0 means none.
  RETORT_ASSIGN(const float old_factor, keys.number_or("rope.scale_linear", 1));
  RETORT_ASSIGN(scaling.factor, keys.number_or("rope.scaling.factor", old_factor));
  if (scaling.factor == 0) scaling.factor = 1;
  RETORT_ASSIGN(const std::string kind, keys.text_or("rope.scaling.type", "linear"));
  if (kind == "none" || (kind == "linear" && scaling.factor == 1)) {
    scaling.kind = RopeScaling::Kind::kNone;
    scaling.factor = 1;
  } else if (kind == "linear") {
    scaling.kind = RopeScaling::Kind::kLinear;
  } else if (kind == "yarn") {
    scaling.kind = RopeScaling::Kind::kYarn;
    RETORT_TRY(read_yarn(keys, scaling));
    const double reach = static_cast<double>(scaling.original_context) * scaling.factor;
    if (reach > static_cast<double>(config.max_context) && reach < 1e9) config.max_context = std::llround(reach);
  } else {
    return fail(ErrorKind::kUnsupported, "[gguf] key {}: '{}' is not supported, supported are none, linear, yarn",
                keys.full("rope.scaling.type"), printable(kind));
  }
  if (const TensorView* divisors = file.find_tensor("rope_freqs.weight")) {
    if (divisors->num_elements() > 4096 || divisors->type != TensorType::kF32)
      return fail(ErrorKind::kBadInput,
                  "[gguf] tensor rope_freqs.weight: expected {} elements of F32, file holds {} of {}",
                  config.head_dim / 2, divisors->num_elements(), info_of(divisors->type).name);
    scaling.frequency_divisors.resize(divisors->num_elements());
    dequantize(divisors->type, divisors->data, scaling.frequency_divisors);
  }
  return {};
}

Status read_shape(const Gguf& file, const Keys& keys, ModelConfig& config) {
  RETORT_ASSIGN(config.num_layers, keys.count("block_count"));
  RETORT_ASSIGN(config.hidden_size, keys.count("embedding_length"));
  RETORT_ASSIGN(config.ffn_size, keys.count("feed_forward_length"));
  RETORT_ASSIGN(config.num_heads, keys.count("attention.head_count"));
  RETORT_ASSIGN(config.num_kv_heads, keys.count_or("attention.head_count_kv", config.num_heads));
  RETORT_ASSIGN(config.max_context, keys.count("context_length"));
  RETORT_ASSIGN(config.rms_eps, keys.number("attention.layer_norm_rms_epsilon"));
  const int64_t even_split = config.num_heads > 0 ? config.hidden_size / config.num_heads : 0;
  RETORT_ASSIGN(config.head_dim, keys.count_or("attention.key_length", even_split));
  RETORT_ASSIGN(const int64_t value_dim, keys.count_or("attention.value_length", config.head_dim));
  if (value_dim != config.head_dim)
    return fail(ErrorKind::kUnsupported, "[gguf] key {}: values as long as keys ({}) are supported, got {}",
                keys.full("attention.value_length"), config.head_dim, value_dim);
  const TensorView* embedding = file.find_tensor("token_embd.weight");
  if (embedding == nullptr || embedding->shape.size() != 2)
    return fail(ErrorKind::kBadInput, "[gguf] tensor token_embd.weight: expected a matrix, file holds {}",
                embedding == nullptr ? "none" : "another shape");
  config.vocab_size = static_cast<int64_t>(embedding->shape[0]);
  config.tie_embeddings = file.find_tensor("output.weight") == nullptr;
  return {};
}

Status read_sampling(const Gguf& file, ModelConfig& config) {
  const auto read = [&](std::string_view key, std::optional<float>& target) -> Status {
    if (!file.has(key)) return {};
    RETORT_ASSIGN(const double value, file.get_float(key));
    target = static_cast<float>(value);
    return {};
  };
  RETORT_TRY(read("general.sampling.temp", config.temperature));
  RETORT_TRY(read("general.sampling.top_p", config.top_p));
  RETORT_TRY(read("general.sampling.min_p", config.min_p));
  RETORT_TRY(read("general.sampling.penalty_repeat", config.repetition_penalty));
  if (file.has("general.sampling.top_k")) {
    RETORT_ASSIGN(const int64_t top_k, file.get_int("general.sampling.top_k"));
    config.top_k = static_cast<int>(std::clamp<int64_t>(top_k, -1, 1 << 24));
  }
  return {};
}

}  // namespace

Result<ModelConfig> config_from_gguf(const Gguf& file) {
  ModelConfig config;
  RETORT_ASSIGN(config.architecture, file.get_string("general.architecture"));
  if (!is_supported_architecture(config.architecture))
    return fail(ErrorKind::kUnsupported, "[gguf] architecture '{}' is not supported, supported are {}",
                printable(config.architecture), kSupportedArchitectures);
  if (file.has("general.name")) {
    RETORT_ASSIGN(config.name, file.get_string("general.name"));
  }
  const Keys keys(file, config.architecture);
  // llama.cpp's converter reorders the rows of q and k of the llama architecture so that pairs lie side by side.
  config.rope_style = config.architecture == "llama" ? RopeStyle::kInterleaved : RopeStyle::kNeox;
  config.has_qk_norm = config.architecture == "qwen3";
  config.has_qkv_bias = config.architecture == "qwen2";
  RETORT_TRY(read_shape(file, keys, config));
  RETORT_TRY(read_rope(file, keys, config));
  RETORT_TRY(refuse_variants(keys, config.max_context));
  RETORT_TRY(read_sampling(file, config));
  RETORT_TRY(check_config(config));
  return config;
}

}  // namespace retort
