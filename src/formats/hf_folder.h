// A Hugging Face model folder: config.json, tokenizer.json, tokenizer_config.json, generation_config.json and
// safetensors (one file, or shards named by model.safetensors.index.json). Format: huggingface/safetensors README.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/mapped_tensors.h"

namespace retort {

class HfFolder {
 public:
  static Result<HfFolder> open(const std::filesystem::path& folder);

  const nlohmann::json& config() const { return config_; }
  // Null json when the folder has no such file. What chat_template.jinja holds, if there, is tokenizer_config's
  // "chat_template".
  const nlohmann::json& tokenizer() const { return tokenizer_; }
  const nlohmann::json& tokenizer_config() const { return tokenizer_config_; }
  const nlohmann::json& generation_config() const { return generation_config_; }
  // Under Hugging Face's names: "model.layers.0.self_attn.q_proj.weight".
  const std::vector<TensorView>& tensors() const { return tensors_.all(); }
  const TensorView* find_tensor(std::string_view name) const { return tensors_.find(name); }  // null when absent
  void release(const TensorView& tensor) const { tensors_.release(tensor); }

 private:
  Status add_file(const std::filesystem::path& file_path);
  Status add_shards(const std::filesystem::path& folder);

  nlohmann::json config_, tokenizer_, tokenizer_config_, generation_config_;
  MappedTensors tensors_;
};

// One safetensors file's tensors over bytes in memory, in the order of their data, which need not be aligned to their
// type. A type this build does not hold (I64, …) is an error naming the tensor. `name` is how errors call the file.
Result<std::vector<TensorView>> parse_safetensors(std::span<const std::byte> bytes, std::string_view name);

}  // namespace retort
