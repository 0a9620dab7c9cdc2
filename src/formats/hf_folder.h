// A Hugging Face model folder: config.json, tokenizer.json, tokenizer_config.json, generation_config.json and
// safetensors (one file, or shards named by model.safetensors.index.json). Format: huggingface/safetensors README.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"
#include "formats/tensor_type.h"

namespace retort {

class HfFolder {
 public:
  static Result<HfFolder> open(const std::filesystem::path& folder);

  const nlohmann::json& config() const { return config_; }
  // Null json when the folder has no such file. tokenizer_config has "chat_template" filled from chat_template.jinja if
  // that is where it is.
  const nlohmann::json& tokenizer() const { return tokenizer_; }
  const nlohmann::json& tokenizer_config() const { return tokenizer_config_; }
  const nlohmann::json& generation_config() const { return generation_config_; }
  const std::vector<TensorView>& tensors() const {
    return tensors_;
  }  // Hugging Face's names: "model.layers.0.self_attn.q_proj.weight"
  const TensorView* find_tensor(std::string_view name) const;
  void release(const TensorView& tensor) const;

 private:
  nlohmann::json config_, tokenizer_, tokenizer_config_, generation_config_;
  std::vector<MappedFile> files_;
  std::vector<TensorView> tensors_;
  std::map<std::string, size_t, std::less<>> index_;
};

// One safetensors file's header over bytes in memory; tensors of a type this build does not hold (I64, …) are an error
// naming them.
Result<std::vector<TensorView>> parse_safetensors(std::span<const std::byte> bytes, std::string_view name);

}  // namespace retort
