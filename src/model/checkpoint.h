// A model on disk, whatever its container: one list of tensors under GGUF's names ("blk.0.attn_q.weight"), the config,
// and what else a server needs to know of it. A cheap handle: copies share the mapped files, which stay mapped while
// one is left.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"
#include "formats/hf_folder.h"
#include "model/config.h"

namespace retort {

class Checkpoint {
 public:
  // A .gguf file (first part of a split one) or a Hugging Face folder.
  static Result<Checkpoint> open(const std::filesystem::path& path);

  const ModelConfig& config() const { return state_->config; }
  const std::filesystem::path& path() const { return state_->path; }
  const Gguf* gguf() const { return std::get_if<Gguf>(&state_->container); }
  const HfFolder* hf() const { return std::get_if<HfFolder>(&state_->container); }

  const std::vector<TensorView>& tensors() const;  // under the container's own names
  std::string own_name(std::string_view gguf_name) const;
  const TensorView* find(std::string_view gguf_name) const;  // null when absent
  void release(const TensorView& tensor) const;
  uint64_t weight_bytes() const;  // of all tensors as stored
  // Why the tensors are not those of such a model: unknown ones (weights would be dropped silently), missing ones,
  // other shapes than expected. Empty: Weights::load takes them.
  std::vector<Error> tensor_faults() const;

  std::string chat_template() const;  // empty when the file has none

 private:
  struct State {
    std::filesystem::path path;
    std::variant<Gguf, HfFolder> container;
    ModelConfig config;
  };
  explicit Checkpoint(std::shared_ptr<const State> state) : state_(std::move(state)) {}

  std::shared_ptr<const State> state_;
};

}  // namespace retort
