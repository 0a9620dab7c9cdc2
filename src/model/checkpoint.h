// A model on disk, whatever its container: one list of tensors under GGUF's names ("blk.0.attn_q.weight"), the config, and what
// else a server needs to know of it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "formats/gguf.h"
#include "formats/hf_folder.h"
#include "model/config.h"

namespace retort {

class Checkpoint {
 public:
  // A .gguf file (first part of a split one) or a Hugging Face folder.
  static Result<Checkpoint> open(const std::filesystem::path& path);

  const ModelConfig& config() const { return config_; }
  const std::filesystem::path& path() const { return path_; }
  const Gguf* gguf() const { return std::get_if<Gguf>(&container_); }
  const HfFolder* hf() const { return std::get_if<HfFolder>(&container_); }

  const TensorView* find(std::string_view gguf_name) const;  // null when absent
  // Error: missing, or another shape than expected; says both. shape is outermost first.
  Result<const TensorView*> get(std::string_view gguf_name, std::initializer_list<int64_t> shape) const;
  void release(const TensorView& tensor) const;
  uint64_t weight_bytes() const;
  // Every tensor that the architecture does not know: loading such a file would silently drop weights.
  std::vector<std::string> unknown_tensors() const;

  std::string chat_template() const;  // empty when the file has none

 private:
  std::filesystem::path path_;
  ModelConfig config_;
  std::variant<std::monostate, Gguf, HfFolder> container_;
};

}  // namespace retort
