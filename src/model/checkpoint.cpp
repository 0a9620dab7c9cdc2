#include "model/checkpoint.h"

#include <algorithm>

#include "model/tensor_names.h"

namespace retort {
namespace {

template <class Shape>
std::string format_shape(const Shape& shape) {
  std::string text;
  for (const auto size : shape) text += (text.empty() ? "" : " x ") + std::to_string(size);
  return "[" + text + "]";
}

std::string template_from_hf(const nlohmann::json& tokenizer_config) {
  if (!tokenizer_config.is_object() || !tokenizer_config.contains("chat_template")) return "";
  const auto& value = tokenizer_config.at("chat_template");
  if (value.is_string()) return value.get<std::string>();
  // Several under names: [{"name": "default", "template": …}, {"name": "tool_use", …}]
  if (!value.is_array()) return "";
  for (const auto& entry : value)
    if (entry.is_object() && entry.value("name", nlohmann::json()) == "default" && entry.contains("template") &&
        entry.at("template").is_string())
      return entry.at("template").get<std::string>();
  return "";
}

}  // namespace

Result<Checkpoint> Checkpoint::open(const std::filesystem::path& path) {
  auto state = std::make_shared<State>();
  state->path = path;
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    RETORT_ASSIGN(auto folder, HfFolder::open(path));
    RETORT_ASSIGN(state->config, config_from_hf(folder));
    state->container = std::move(folder);
  } else {
    RETORT_ASSIGN(auto file, Gguf::open(path));
    RETORT_ASSIGN(state->config, config_from_gguf(file));
    state->container = std::move(file);
  }
  if (state->config.name.empty()) state->config.name = path.stem().string();
  return Checkpoint(std::move(state));
}

const std::vector<TensorView>& Checkpoint::tensors() const {
  return std::visit([](const auto& container) -> const std::vector<TensorView>& { return container.tensors(); },
                    state_->container);
}

const TensorView* Checkpoint::find(std::string_view gguf_name) const {
  if (const Gguf* file = gguf()) return file->find_tensor(gguf_name);
  const std::string name = hf_tensor_name(gguf_name);
  return name.empty() ? nullptr : hf()->find_tensor(name);
}

Result<const TensorView*> Checkpoint::get(std::string_view gguf_name, std::initializer_list<int64_t> shape) const {
  const std::string own_name = gguf() != nullptr ? std::string(gguf_name) : hf_tensor_name(gguf_name);
  const TensorView* tensor = find(gguf_name);
  if (tensor == nullptr)
    return fail(ErrorKind::kBadInput, "[model] tensor {}: expected {}, the file has no such tensor", own_name,
                format_shape(shape));
  const bool same =
      std::equal(shape.begin(), shape.end(), tensor->shape.begin(), tensor->shape.end(),
                 [](int64_t expected, uint64_t actual) { return static_cast<uint64_t>(expected) == actual; });
  if (!same)
    return fail(ErrorKind::kBadInput, "[model] tensor {}: expected {}, file holds {}", own_name, format_shape(shape),
                format_shape(tensor->shape));
  return tensor;
}

void Checkpoint::release(const TensorView& tensor) const {
  std::visit([&](const auto& container) { container.release(tensor); }, state_->container);
}

uint64_t Checkpoint::weight_bytes() const {
  uint64_t sum = 0;
  for (const TensorView& tensor : tensors()) sum += tensor.data.size();
  return sum;
}

std::vector<std::string> Checkpoint::unknown_tensors() const {
  const auto known = gguf() != nullptr ? known_gguf_tensors(config()) : known_hf_tensors(config());
  std::vector<std::string> unknown;
  for (const TensorView& tensor : tensors())
    if (!known.contains(tensor.name)) unknown.push_back(tensor.name);
  return unknown;
}

std::string Checkpoint::chat_template() const {
  if (hf() != nullptr) return template_from_hf(hf()->tokenizer_config());
  return gguf()->get_string("tokenizer.chat_template").value_or("");
}

}  // namespace retort
