// The tensors of the supported architectures under GGUF's names ("blk.0.attn_q.weight") and Hugging Face's.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "model/config.h"

namespace retort {

// "model.layers.0.self_attn.q_proj.weight" for "blk.0.attn_q.weight"; empty for a name that has no counterpart.
std::string hf_tensor_name(std::string_view gguf_name);

// Every tensor a model of this config may have, optional biases included.
std::set<std::string, std::less<>> known_gguf_tensors(const ModelConfig& config);
std::set<std::string, std::less<>> known_hf_tensors(const ModelConfig& config);

}  // namespace retort
