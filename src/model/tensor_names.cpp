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
void for_each_of_layer(bool with_qk_norm, Visit&& visit) {
  for (const Name& name : kNorms) visit(std::string(name.gguf), std::string(name.hf));
  if (with_qk_norm)
    for (const Name& name : kQkNorms) visit(std::string(name.gguf), std::string(name.hf));
  for (const Name& name : kLinears)
    for (std::string_view part : {".weight", ".bias"})
      visit(std::string(name.gguf).append(part), std::string(name.hf).append(part));
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
  for_each_of_layer(true, [&](const std::string& gguf, const std::string& hf) {
    if (gguf == gguf_name.substr(dot + 1)) found = "model.layers." + std::string(layer) + "." + hf;
  });
  return found;
}

std::set<std::string, std::less<>> known_gguf_tensors(const ModelConfig& config) {
  std::set<std::string, std::less<>> names = {"rope_freqs.weight"};
  for (const Name& name : kWholeModel) names.emplace(name.gguf);
  for (int64_t layer = 0; layer < config.num_layers; ++layer)
    for_each_of_layer(config.has_qk_norm, [&](const std::string& gguf, const std::string&) {
      names.insert("blk." + std::to_string(layer) + "." + gguf);
    });
  return names;
}

std::set<std::string, std::less<>> known_hf_tensors(const ModelConfig& config) {
  std::set<std::string, std::less<>> names;
  for (const Name& name : kWholeModel) names.emplace(name.hf);
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    names.insert(prefix + "self_attn.rotary_emb.inv_freq");  // old folders store it; it is computed here
    for_each_of_layer(config.has_qk_norm,
                      [&](const std::string&, const std::string& hf) { names.insert(prefix + hf); });
  }
  return names;
}

}  // namespace retort
