// The tensors of the supported architectures under GGUF's names ("blk.0.attn_q.weight") and Hugging Face's.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"

namespace retort {

// "model.layers.0.self_attn.q_proj.weight" for "blk.0.attn_q.weight"; empty for a name that has no counterpart.
std::string hf_tensor_name(std::string_view gguf_name);

struct TensorSpec {
  std::string name;            // GGUF's
  std::vector<int64_t> shape;  // outermost first
  bool required = true;        // false: a bias that such a model may have, then in every layer
};

// Every tensor of a model of this config that the forward pass reads.
std::vector<TensorSpec> tensor_specs(const ModelConfig& config);

// Their names, and those of tensors that are known but not read.
std::set<std::string, std::less<>> known_gguf_tensors(const ModelConfig& config);
std::set<std::string, std::less<>> known_hf_tensors(const ModelConfig& config);

}  // namespace retort
