#include "model/tensor_names.h"

#include <array>

namespace retort {
namespace {

struct Name {
  std::string_view gguf, hf;
};
constexpr std::array kWholeModel = {
    Name{"token_embd.weight", "model.embed_tokens.weight"},
    Name{"output_norm.weight", "model.norm.weight"},
    Name{"output.weight", "lm_head.weight"},
};
// Inside "blk.N." and "model.layers.N.".
constexpr std::array kNorms = {
    Name{"attn_norm.weight", "input_layernorm.weight"},
    Name{"ffn_norm.weight", "post_attention_layernorm.weight"},
};
constexpr std::array kQkNorms = {
    Name{"attn_q_norm.weight", "self_attn.q_norm.weight"},
    Name{"attn_k_norm.weight", "self_attn.k_norm.weight"},
};
// Without ".weight" and ".bias".
constexpr std::array kLinears = {
    Name{"attn_q", "self_attn.q_proj"},      Name{"attn_k", "self_attn.k_proj"}, Name{"attn_v", "self_attn.v_proj"},
    Name{"attn_output", "self_attn.o_proj"}, Name{"ffn_gate", "mlp.gate_proj"},  Name{"ffn_up", "mlp.up_proj"},
    Name{"ffn_down", "mlp.down_proj"},
};

// Calls visit(gguf name, hf name) for every tensor inside a layer.
template <class Visit>
void for_each_of_layer(Visit&& visit) {
  for (const Name& name : kNorms) visit(std::string(name.gguf), std::string(name.hf));
  for (const Name& name : kQkNorms) visit(std::string(name.gguf), std::string(name.hf));
  for (const Name& name : kLinears)
    for (std::string_view part : {".weight", ".bias"})
      visit(std::string(name.gguf).append(part), std::string(name.hf).append(part));
}

void add_layer(std::vector<TensorSpec>& specs, const std::string& prefix, const ModelConfig& config) {
  const int64_t hidden = config.hidden_size, ffn = config.ffn_size;
  const int64_t q_size = config.num_heads * config.head_dim, kv_size = config.num_kv_heads * config.head_dim;
  specs.push_back({prefix + "attn_norm.weight", {hidden}});
  specs.push_back({prefix + "ffn_norm.weight", {hidden}});
  if (config.has_qk_norm) {
    specs.push_back({prefix + "attn_q_norm.weight", {config.head_dim}});
    specs.push_back({prefix + "attn_k_norm.weight", {config.head_dim}});
  }
  const auto add_linear = [&](const char* name, int64_t num_outputs, int64_t num_inputs, bool has_bias) {
    specs.push_back({prefix + name + ".weight", {num_outputs, num_inputs}});
    specs.push_back({prefix + name + ".bias", {num_outputs}, has_bias});
  };
  add_linear("attn_q", q_size, hidden, config.has_qkv_bias);
  add_linear("attn_k", kv_size, hidden, config.has_qkv_bias);
  add_linear("attn_v", kv_size, hidden, config.has_qkv_bias);
  add_linear("attn_output", hidden, q_size, false);
  add_linear("ffn_gate", ffn, hidden, config.has_mlp_bias);
  add_linear("ffn_up", ffn, hidden, config.has_mlp_bias);
  add_linear("ffn_down", hidden, ffn, config.has_mlp_bias);
}

}  // namespace

std::string hf_tensor_name(std::string_view gguf_name) {
  for (const Name& name : kWholeModel)
    if (name.gguf == gguf_name) return std::string(name.hf);
  constexpr std::string_view kLayer = "blk.";
  if (!gguf_name.starts_with(kLayer)) return "";
  const size_t dot = gguf_name.find('.', kLayer.size());
  if (dot == std::string_view::npos) return "";
  const std::string_view layer = gguf_name.substr(kLayer.size(), dot - kLayer.size());
  std::string found;
  for_each_of_layer([&](const std::string& gguf, const std::string& hf) {
    if (gguf == gguf_name.substr(dot + 1)) found = "model.layers." + std::string(layer) + "." + hf;
  });
  return found;
}

std::vector<TensorSpec> tensor_specs(const ModelConfig& config) {
  std::vector<TensorSpec> specs = {{"token_embd.weight", {config.vocab_size, config.hidden_size}},
                                   {"output_norm.weight", {config.hidden_size}}};
  if (!config.tie_embeddings) specs.push_back({"output.weight", {config.vocab_size, config.hidden_size}});
  for (int64_t layer = 0; layer < config.num_layers; ++layer)
    add_layer(specs, "blk." + std::to_string(layer) + ".", config);
  return specs;
}

std::set<std::string, std::less<>> known_gguf_tensors(const ModelConfig& config) {
  std::set<std::string, std::less<>> names = {"rope_freqs.weight"};  // read with the config
  for (TensorSpec& spec : tensor_specs(config)) names.insert(std::move(spec.name));
  return names;
}

std::set<std::string, std::less<>> known_hf_tensors(const ModelConfig& config) {
  std::set<std::string, std::less<>> names = {"lm_head.weight"};  // some folders keep a copy of tied embeddings
  for (const TensorSpec& spec : tensor_specs(config)) names.insert(hf_tensor_name(spec.name));
  for (int64_t layer = 0; layer < config.num_layers; ++layer)  // old folders store it; it is computed here
    names.insert("model.layers." + std::to_string(layer) + ".self_attn.rotary_emb.inv_freq");
  return names;
}

}  // namespace retort
