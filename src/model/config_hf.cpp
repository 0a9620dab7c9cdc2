// Keys: transformers' configuration_qwen2.py, configuration_qwen3.py, configuration_llama.py and
// modeling_rope_utils.py.
#include <algorithm>
#include <array>
#include <cmath>

#include "model/config.h"

namespace retort {
namespace {

using Json = nlohmann::json;

// A JSON object whose wrong types are errors that name the key. A key that is null counts as absent.
class Fields {
 public:
  Fields(const Json& object, std::string_view file) : object_(object), file_(file) {}

  const Json* find(std::string_view key) const {
    if (!object_.is_object()) return nullptr;
    const auto it = object_.find(key);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
  }
  Result<int64_t> whole(std::string_view key) const {
    const Json* value = find(key);
    if (value == nullptr) return missing(key, "a whole number");
    return as_whole(key, *value);
  }
  Result<int64_t> whole_or(std::string_view key, int64_t fallback) const {
    return find(key) ? whole(key) : Result<int64_t>(fallback);
  }
  Result<float> number(std::string_view key) const {
    const Json* value = find(key);
    if (value == nullptr) return missing(key, "a number");
    if (!value->is_number()) return wrong(key, "a number", *value);
    return value->get<float>();
  }
  Result<float> number_or(std::string_view key, float fallback) const {
    return find(key) ? number(key) : Result<float>(fallback);
  }
  Result<bool> flag_or(std::string_view key, bool fallback) const {
    const Json* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_boolean()) return wrong(key, "true or false", *value);
    return value->get<bool>();
  }
  Result<std::string> text_or(std::string_view key, std::string fallback) const {
    const Json* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_string()) return wrong(key, "a string", *value);
    return value->get<std::string>();
  }
  template <class... Args>
  tl::unexpected<Error> unsupported(std::string_view key, fmt::format_string<Args...> format, Args&&... args) const {
    return fail(ErrorKind::kUnsupported, "[hf] {}: {}: {}", file_, key,
                fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  tl::unexpected<Error> missing(std::string_view key, std::string_view expected) const {
    return fail(ErrorKind::kBadInput, "[hf] {}: {}: expected {}, the key is missing", file_, key, expected);
  }
  tl::unexpected<Error> wrong(std::string_view key, std::string_view expected, const Json& value) const {
    return fail(ErrorKind::kBadInput, "[hf] {}: {}: expected {}, got {}", file_, key, expected,
                value.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 80));
  }
  Result<int64_t> as_whole(std::string_view key, const Json& value) const {
    if (value.is_number_unsigned() && value.get<uint64_t>() <= INT64_MAX) return value.get<int64_t>();
    if (value.is_number_integer() && !value.is_number_unsigned()) return value.get<int64_t>();
    return wrong(key, "a whole number", value);
  }

  const Json& object_;
  std::string_view file_;
};

float yarn_magnitude(float factor, float scale) { return factor <= 1 ? 1.0f : 0.1f * scale * std::log(factor) + 1.0f; }

Status read_yarn(const Fields& rope, ModelConfig& config) {
  RopeScaling& scaling = config.rope_scaling;
  RETORT_ASSIGN(scaling.beta_fast, rope.number_or("beta_fast", 32));
  RETORT_ASSIGN(scaling.beta_slow, rope.number_or("beta_slow", 1));
  RETORT_ASSIGN(const bool truncate, rope.flag_or("truncate", true));
  if (!truncate) return rope.unsupported("rope_scaling.truncate", "false is not supported");
  RETORT_ASSIGN(const float magnitude, rope.number_or("mscale", 0));
  RETORT_ASSIGN(const float magnitude_all, rope.number_or("mscale_all_dim", 0));
  const float natural = magnitude != 0 && magnitude_all != 0
                            ? yarn_magnitude(scaling.factor, magnitude) / yarn_magnitude(scaling.factor, magnitude_all)
                            : yarn_magnitude(scaling.factor, 1);
  RETORT_ASSIGN(scaling.attention_factor, rope.number_or("attention_factor", natural));
  const double reach = static_cast<double>(scaling.original_context) * scaling.factor;
  if (reach > static_cast<double>(config.max_context) && reach < 1e9) config.max_context = std::llround(reach);
  return {};
}

// `rope` is rope_parameters (transformers 5, where theta lives too) or rope_scaling.
Status read_scaling(const Fields& rope, ModelConfig& config) {
  RopeScaling& scaling = config.rope_scaling;
  RETORT_ASSIGN(const std::string old_kind, rope.text_or("type", "default"));
  RETORT_ASSIGN(const std::string kind, rope.text_or("rope_type", old_kind));
  if (kind == "default") return {};
  if (kind != "linear" && kind != "llama3" && kind != "yarn")
    return rope.unsupported("rope_scaling.rope_type",
                            "'{}' is not supported, supported are default, linear, llama3, yarn", printable(kind));
  RETORT_ASSIGN(scaling.original_context, rope.whole_or("original_max_position_embeddings", 0));
  if (kind == "yarn" && scaling.original_context > 0) {
    const float reach = static_cast<float>(config.max_context) / static_cast<float>(scaling.original_context);
    RETORT_ASSIGN(scaling.factor, rope.number_or("factor", reach));
  } else {
    RETORT_ASSIGN(scaling.factor, rope.number("factor"));
  }
  if (scaling.original_context == 0) scaling.original_context = config.max_context;
  if (kind == "linear") {
    scaling.kind = RopeScaling::Kind::kLinear;
  } else if (kind == "llama3") {
    scaling.kind = RopeScaling::Kind::kLlama3;
    RETORT_ASSIGN(scaling.low_freq_factor, rope.number("low_freq_factor"));
    RETORT_ASSIGN(scaling.high_freq_factor, rope.number("high_freq_factor"));
  } else {
    scaling.kind = RopeScaling::Kind::kYarn;
    RETORT_TRY(read_yarn(rope, config));
  }
  return {};
}

Status refuse_variants(const Fields& fields, const ModelConfig& config) {
  RETORT_ASSIGN(const std::string activation, fields.text_or("hidden_act", "silu"));
  if (activation != "silu")
    return fields.unsupported("hidden_act", "'{}' is not supported, supported is silu", printable(activation));
  if (const Json* quantization = fields.find("quantization_config")) {
    RETORT_ASSIGN(const std::string method, Fields(*quantization, "config.json").text_or("quant_method", "unnamed"));
    return fields.unsupported("quantization_config", "method '{}' is not supported, supported are unquantised weights",
                              printable(method));
  }
  RETORT_ASSIGN(const bool window_on, fields.flag_or("use_sliding_window", false));
  RETORT_ASSIGN(const int64_t window, fields.whole_or("sliding_window", config.max_context));
  RETORT_ASSIGN(const int64_t full_layers, fields.whole_or("max_window_layers", 0));
  bool in_use = window_on && full_layers < config.num_layers;
  if (const Json* layers = fields.find("layer_types"); layers != nullptr && layers->is_array())
    in_use = std::find(layers->begin(), layers->end(), "sliding_attention") != layers->end();
  if (in_use && window < config.max_context)
    return fields.unsupported("sliding_window", "attention to the last {} of {} positions is not supported", window,
                              config.max_context);
  return {};
}

Result<std::string> read_architecture(const Fields& fields) {
  RETORT_ASSIGN(const std::string type, fields.text_or("model_type", ""));
  std::string class_name;
  if (const Json* classes = fields.find("architectures");
      classes != nullptr && classes->is_array() && !classes->empty())
    if (classes->front().is_string()) class_name = classes->front().get<std::string>();
  if (!is_supported_architecture(type) || (!class_name.empty() && !class_name.ends_with("ForCausalLM")))
    return fields.unsupported("model_type", "'{}' ({}) is not supported, supported are {} as causal language models",
                              printable(type), class_name.empty() ? "no architectures" : printable(class_name),
                              kSupportedArchitectures);
  return type;
}

Status read_shape(const Fields& fields, ModelConfig& config) {
  RETORT_ASSIGN(config.hidden_size, fields.whole("hidden_size"));
  RETORT_ASSIGN(config.num_layers, fields.whole("num_hidden_layers"));
  RETORT_ASSIGN(config.ffn_size, fields.whole("intermediate_size"));
  RETORT_ASSIGN(config.vocab_size, fields.whole("vocab_size"));
  RETORT_ASSIGN(config.max_context, fields.whole("max_position_embeddings"));
  RETORT_ASSIGN(config.num_heads, fields.whole("num_attention_heads"));
  RETORT_ASSIGN(config.num_kv_heads, fields.whole_or("num_key_value_heads", config.num_heads));
  const int64_t even_split = config.num_heads > 0 ? config.hidden_size / config.num_heads : 0;
  // Qwen3's configuration class has 128 for a default, the others an even split.
  RETORT_ASSIGN(config.head_dim, fields.whole_or("head_dim", config.has_qk_norm ? 128 : even_split));
  RETORT_ASSIGN(config.rms_eps, fields.number_or("rms_norm_eps", 1e-6f));
  RETORT_ASSIGN(config.tie_embeddings, fields.flag_or("tie_word_embeddings", false));
  return {};
}

Status read_rope(const Fields& fields, ModelConfig& config) {
  RETORT_ASSIGN(config.rope_theta, fields.number_or("rope_theta", 10000));
  const Json* parameters = fields.find("rope_parameters");
  if (parameters == nullptr) parameters = fields.find("rope_scaling");
  if (parameters != nullptr) {
    const Fields rope(*parameters, "config.json");
    RETORT_ASSIGN(config.rope_theta, rope.number_or("rope_theta", config.rope_theta));
    RETORT_TRY(read_scaling(rope, config));
  }
  RETORT_ASSIGN(const float rotated, fields.number_or("partial_rotary_factor", 1));
  config.rope_dim = static_cast<int64_t>(static_cast<float>(config.head_dim) * std::clamp(rotated, 0.0f, 1.0f));
  return {};
}

Status read_sampling(const Fields& fields, ModelConfig& config) {
  const auto read = [&](std::string_view key, std::optional<float>& target) -> Status {
    if (fields.find(key) == nullptr) return {};
    RETORT_ASSIGN(target, fields.number(key));
    return {};
  };
  RETORT_TRY(read("temperature", config.temperature));
  RETORT_TRY(read("top_p", config.top_p));
  RETORT_TRY(read("min_p", config.min_p));
  RETORT_TRY(read("repetition_penalty", config.repetition_penalty));
  if (fields.find("top_k")) {
    RETORT_ASSIGN(const int64_t top_k, fields.whole("top_k"));
    config.top_k = static_cast<int>(std::clamp<int64_t>(top_k, -1, 1 << 24));
  }
  return {};
}

}  // namespace

Result<ModelConfig> config_from_hf(const HfFolder& folder) {
  const Fields fields(folder.config(), "config.json");
  ModelConfig config;
  RETORT_ASSIGN(config.architecture, read_architecture(fields));
  RETORT_ASSIGN(config.name, fields.text_or("_name_or_path", ""));
  config.has_qk_norm = config.architecture == "qwen3";
  RETORT_ASSIGN(const bool attention_bias, fields.flag_or("attention_bias", false));
  config.has_qkv_bias = config.architecture == "qwen2" || attention_bias;  // Qwen2 has them whatever its config says
  RETORT_ASSIGN(config.has_mlp_bias, fields.flag_or("mlp_bias", false));
  RETORT_TRY(read_shape(fields, config));
  RETORT_TRY(read_rope(fields, config));
  RETORT_TRY(refuse_variants(fields, config));
  RETORT_TRY(read_sampling(Fields(folder.generation_config(), "generation_config.json"), config));
  RETORT_TRY(check_config(config));
  return config;
}

}  // namespace retort
