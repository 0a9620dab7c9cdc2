// Tiny models of generated weights, written as a GGUF file or as a Hugging Face folder. A config is a Hugging Face
// config.json.
#pragma once

#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "formats/codecs.h"
#include "formats/gguf.h"
#include "formats/temp_dir.h"

namespace retort::testing {

using Json = nlohmann::json;

struct TinyTensor {
  std::vector<uint64_t> shape;
  std::vector<float> values;
};

class TinyModel {
 public:
  // rope_freqs: what a GGUF file stores for llama3 scaling; else empty.
  explicit TinyModel(const Json& config_in, std::vector<float> rope_freqs = {})
      : config(config_in), rope_freqs_(std::move(rope_freqs)) {
    generate();
  }

  Json config;
  std::map<std::string, TinyTensor> tensors;  // under Hugging Face's names

  // Rounds every value to what bf16 holds.
  void round_to_bf16() {
    for (auto& [name, tensor] : tensors)
      for (float& value : tensor.values) value = bf16_to_f32(f32_to_bf16(value));
  }

  // `edit` may change the metadata before it is written. kF32 or kBF16; norms and biases stay F32.
  template <class Edit>
  std::filesystem::path write_gguf(const std::filesystem::path& path, TensorType type, Edit&& edit) const;
  std::filesystem::path write_gguf(const std::filesystem::path& path, TensorType type = TensorType::kF32) const {
    return write_gguf(path, type, [](GgufWriter&) {});
  }
  std::filesystem::path write_hf(const std::filesystem::path& folder, TensorType type = TensorType::kF32) const;

 private:
  int64_t number(const char* key) const { return config.at(key).get<int64_t>(); }
  int64_t head_dim() const {
    return config.contains("head_dim") ? number("head_dim") : number("hidden_size") / number("num_attention_heads");
  }
  void generate();
  void add(const std::string& name, std::vector<uint64_t> shape);
  void add_linear(const std::string& name, int64_t outputs, int64_t inputs, bool bias);
  void set_metadata(GgufWriter& writer) const;
  std::vector<float> gguf_values(const std::string& hf_name, const TinyTensor& tensor) const;

  std::vector<float> rope_freqs_;
};

// The generator of tests/data/numpy_transformer.py, bit for bit.
inline std::vector<float> uniform(const std::string& name, size_t count) {
  uint64_t seed = 0xCBF29CE484222325u;
  for (unsigned char byte : name) seed = (seed ^ byte) * 0x100000001B3u;
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    uint64_t z = seed + (i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z = z ^ (z >> 31);
    values[i] = static_cast<float>(z >> 40) * 0x1p-23f - 1.0f;
  }
  return values;
}

inline void TinyModel::add(const std::string& name, std::vector<uint64_t> shape) {
  size_t count = 1;
  for (uint64_t size : shape) count *= size;
  auto values = uniform(name, count);
  for (float& value : values) {
    if (name.ends_with("norm.weight"))
      value = value * 0.25f + 1.0f;
    else if (name.ends_with(".bias"))
      value = value * 0.5f;
    else if (name != "model.embed_tokens.weight")
      value = value * static_cast<float>(2.0 / std::sqrt(static_cast<double>(shape[1])));
  }
  tensors[name] = {std::move(shape), std::move(values)};
}

inline void TinyModel::add_linear(const std::string& name, int64_t outputs, int64_t inputs, bool bias) {
  add(name + ".weight", {static_cast<uint64_t>(outputs), static_cast<uint64_t>(inputs)});
  if (bias) add(name + ".bias", {static_cast<uint64_t>(outputs)});
}

inline void TinyModel::generate() {
  const int64_t hidden = number("hidden_size"), ffn = number("intermediate_size"), vocab = number("vocab_size");
  const int64_t q_size = number("num_attention_heads") * head_dim(),
                kv_size = number("num_key_value_heads") * head_dim();
  const bool qwen2 = config.at("model_type") == "qwen2";
  const bool attention_bias = config.value("attention_bias", false), mlp_bias = config.value("mlp_bias", false);
  add_linear("model.embed_tokens", vocab, hidden, false);
  if (!config.at("tie_word_embeddings")) add_linear("lm_head", vocab, hidden, false);
  add("model.norm.weight", {static_cast<uint64_t>(hidden)});
  for (int64_t i = 0; i < number("num_hidden_layers"); ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    add(layer + "input_layernorm.weight", {static_cast<uint64_t>(hidden)});
    add(layer + "post_attention_layernorm.weight", {static_cast<uint64_t>(hidden)});
    add_linear(layer + "self_attn.q_proj", q_size, hidden, qwen2 || attention_bias);
    add_linear(layer + "self_attn.k_proj", kv_size, hidden, qwen2 || attention_bias);
    add_linear(layer + "self_attn.v_proj", kv_size, hidden, qwen2 || attention_bias);
    add_linear(layer + "self_attn.o_proj", hidden, q_size, attention_bias);
    add_linear(layer + "mlp.gate_proj", ffn, hidden, mlp_bias);
    add_linear(layer + "mlp.up_proj", ffn, hidden, mlp_bias);
    add_linear(layer + "mlp.down_proj", hidden, ffn, mlp_bias);
    if (config.at("model_type") == "qwen3") {
      add(layer + "self_attn.q_norm.weight", {static_cast<uint64_t>(head_dim())});
      add(layer + "self_attn.k_norm.weight", {static_cast<uint64_t>(head_dim())});
    }
  }
}

inline std::string gguf_name(std::string name) {
  const std::pair<std::string_view, std::string_view> parts[] = {{"model.embed_tokens", "token_embd"},
                                                                 {"model.norm", "output_norm"},
                                                                 {"lm_head", "output"},
                                                                 {"model.layers.", "blk."},
                                                                 {"input_layernorm", "attn_norm"},
                                                                 {"post_attention_layernorm", "ffn_norm"},
                                                                 {"self_attn.q_proj", "attn_q"},
                                                                 {"self_attn.k_proj", "attn_k"},
                                                                 {"self_attn.v_proj", "attn_v"},
                                                                 {"self_attn.o_proj", "attn_output"},
                                                                 {"self_attn.q_norm", "attn_q_norm"},
                                                                 {"self_attn.k_norm", "attn_k_norm"},
                                                                 {"mlp.gate_proj", "ffn_gate"},
                                                                 {"mlp.up_proj", "ffn_up"},
                                                                 {"mlp.down_proj", "ffn_down"}};
  for (const auto& [hf, gguf] : parts)
    if (const size_t at = name.find(hf); at != std::string::npos) name.replace(at, hf.size(), gguf);
  return name;
}

// llama.cpp's converter interleaves the rows of the llama architecture's q and k: row i and row i + head_dim / 2 of a
// head become neighbours.
inline std::vector<float> TinyModel::gguf_values(const std::string& hf_name, const TinyTensor& tensor) const {
  const bool is_qk = hf_name.find("q_proj") != std::string::npos || hf_name.find("k_proj") != std::string::npos;
  if (config.at("model_type") != "llama" || !is_qk) return tensor.values;
  const size_t row_size = tensor.shape.size() == 2 ? tensor.shape[1] : 1, dim = static_cast<size_t>(head_dim());
  std::vector<float> out(tensor.values.size());
  for (size_t row = 0; row < tensor.shape[0]; ++row) {
    const size_t head = row / dim, i = row % dim;
    const size_t target = head * dim + (i < dim / 2 ? 2 * i : 2 * (i - dim / 2) + 1);
    std::copy_n(tensor.values.begin() + static_cast<int64_t>(row * row_size), row_size,
                out.begin() + static_cast<int64_t>(target * row_size));
  }
  return out;
}

inline void TinyModel::set_metadata(GgufWriter& writer) const {
  const std::string architecture = config.at("model_type"), prefix = architecture + ".";
  writer.set("general.architecture", architecture);
  writer.set("general.name", std::string("tiny"));
  const std::pair<const char*, int64_t> counts[] = {{"block_count", number("num_hidden_layers")},
                                                    {"embedding_length", number("hidden_size")},
                                                    {"feed_forward_length", number("intermediate_size")},
                                                    {"attention.head_count", number("num_attention_heads")},
                                                    {"attention.head_count_kv", number("num_key_value_heads")},
                                                    {"context_length", number("max_position_embeddings")},
                                                    {"attention.key_length", head_dim()},
                                                    {"attention.value_length", head_dim()}};
  for (const auto& [key, value] : counts) writer.set(prefix + key, static_cast<uint32_t>(value));
  writer.set(prefix + "attention.layer_norm_rms_epsilon", config.at("rms_norm_eps").get<float>());
  writer.set(prefix + "rope.freq_base", config.at("rope_theta").get<float>());
  const Json scaling = config.value("rope_scaling", Json::object());
  const std::string kind = scaling.value("rope_type", "default");
  if (kind != "linear" && kind != "yarn") return;
  writer.set(prefix + "rope.scaling.type", kind);
  writer.set(prefix + "rope.scaling.factor", scaling.at("factor").get<float>());
  if (kind == "linear") return;
  const float factor = scaling.at("factor");
  writer.set(prefix + "rope.scaling.original_context_length",
             scaling.at("original_max_position_embeddings").get<uint32_t>());
  if (scaling.contains("beta_fast"))
    writer.set(prefix + "rope.scaling.yarn_beta_fast", scaling.at("beta_fast").get<float>());
  if (scaling.contains("beta_slow"))
    writer.set(prefix + "rope.scaling.yarn_beta_slow", scaling.at("beta_slow").get<float>());
  if (scaling.contains("attention_factor"))
    writer.set(prefix + "rope.scaling.attn_factor",
               scaling.at("attention_factor").get<float>() / (0.1f * std::log(factor) + 1.0f));
}

inline std::string as_stored(const std::vector<float>& values, TensorType type) {
  if (type == TensorType::kF32) return {reinterpret_cast<const char*>(values.data()), values.size() * 4};
  std::vector<uint16_t> narrow(values.size());
  for (size_t i = 0; i < values.size(); ++i) narrow[i] = f32_to_bf16(values[i]);
  return {reinterpret_cast<const char*>(narrow.data()), narrow.size() * 2};
}

template <class Edit>
std::filesystem::path TinyModel::write_gguf(const std::filesystem::path& path, TensorType type, Edit&& edit) const {
  GgufWriter writer;
  set_metadata(writer);
  std::map<std::string, std::string> bytes;  // outlives write()
  for (const auto& [name, tensor] : tensors) {
    const TensorType stored = tensor.shape.size() == 1 ? TensorType::kF32 : type;
    const std::string& data = bytes[name] = as_stored(gguf_values(name, tensor), stored);
    writer.add_tensor(gguf_name(name), stored, tensor.shape, as_bytes(data));
  }
  if (!rope_freqs_.empty())
    writer.add_tensor("rope_freqs.weight", TensorType::kF32, {rope_freqs_.size()}, bytes_of(rope_freqs_));
  edit(writer);
  const Status written = writer.write(path);
  EXPECT_TRUE(written) << (written ? "" : written.error().message);
  return path;
}

inline std::filesystem::path TinyModel::write_hf(const std::filesystem::path& folder, TensorType type) const {
  std::filesystem::create_directories(folder);
  write_file(folder / "config.json", config.dump());
  Json header = Json::object();
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    const std::string stored = as_stored(tensor.values, type);
    header[name] = {{"dtype", type == TensorType::kF32 ? "F32" : "BF16"},
                    {"shape", tensor.shape},
                    {"data_offsets", {data.size(), data.size() + stored.size()}}};
    data += stored;
  }
  const std::string text = header.dump();
  const uint64_t size = text.size();
  std::string prefix(sizeof size, '\0');
  std::memcpy(prefix.data(), &size, sizeof size);
  write_file(folder / "model.safetensors", prefix + text + data);
  return folder;
}

inline const Json& model_goldens() {
  static const Json goldens = Json::parse(read_file(std::filesystem::path(RETORT_TEST_DATA) / "model_goldens.json"));
  return goldens;
}

inline const Json& golden_model(std::string_view name) {
  for (const Json& entry : model_goldens().at("models"))
    if (entry.at("name") == name) return entry;
  throw std::out_of_range(std::string(name));
}

inline TinyModel tiny_model(std::string_view name) {
  const Json& golden = golden_model(name);
  return TinyModel(golden.at("config"), golden.value("rope_freqs", std::vector<float>{}));
}

}  // namespace retort::testing
