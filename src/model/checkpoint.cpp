#include "model/checkpoint.h"

#include <algorithm>
#include <set>

#include "formats/mapped_tensors.h"
#include "model/tensor_names.h"

namespace retort {
namespace {

template <class Shape>
std::string format_shape(const Shape& shape) {
  std::string text;
  for (const auto size : shape) text += (text.empty() ? "" : " x ") + std::to_string(size);
  return "[" + text + "]";
}

bool same_shape(const std::vector<int64_t>& expected, const std::vector<uint64_t>& actual) {
  return std::equal(expected.begin(), expected.end(), actual.begin(), actual.end(),
                    [](int64_t a, uint64_t b) { return static_cast<uint64_t>(a) == b; });
}

// "attn_q.bias" of "blk.3.attn_q.bias".
std::string_view part_of_layer(std::string_view name) { return name.substr(name.find('.', 4) + 1); }

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

std::string Checkpoint::own_name(std::string_view gguf_name) const {
  return gguf() != nullptr ? std::string(gguf_name) : hf_tensor_name(gguf_name);
}

const TensorView* Checkpoint::find(std::string_view gguf_name) const {
  if (const Gguf* file = gguf()) return file->find_tensor(gguf_name);
  const std::string name = hf_tensor_name(gguf_name);
  return name.empty() ? nullptr : hf()->find_tensor(name);
}

void Checkpoint::release(const TensorView& tensor) const {
  std::visit([&](const auto& container) { container.release(tensor); }, state_->container);
}

uint64_t Checkpoint::weight_bytes() const {
  uint64_t sum = 0;
  for (const TensorView& tensor : tensors()) sum += tensor.data.size();
  return sum;
}

std::vector<Error> Checkpoint::tensor_faults() const {
  std::vector<Error> faults;
  const auto known = gguf() != nullptr ? known_gguf_tensors(config()) : known_hf_tensors(config());
  for (const TensorView& tensor : tensors())
    if (!known.contains(tensor.name))
      faults.push_back({ErrorKind::kUnsupported,
                        fmt::format("[model] tensor {}: not part of architecture '{}' with {} layers as supported here",
                                    printable(tensor.name), config().architecture, config().num_layers)});
  const auto specs = tensor_specs(config());
  std::set<std::string, std::less<>> optional_here;  // parts of a layer that some layer has
  for (const TensorSpec& spec : specs)
    if (!spec.required && find(spec.name) != nullptr) optional_here.emplace(part_of_layer(spec.name));
  for (const TensorSpec& spec : specs) {
    const TensorView* tensor = find(spec.name);
    if (tensor == nullptr && !spec.required && !optional_here.contains(part_of_layer(spec.name))) continue;
    if (tensor == nullptr || !same_shape(spec.shape, tensor->shape))
      faults.push_back({ErrorKind::kBadInput,
                        fmt::format("[model] tensor {}: expected {}, {}", own_name(spec.name), format_shape(spec.shape),
                                    tensor == nullptr ? "the file has no such tensor"
                                                      : "file holds " + format_shape(tensor->shape))});
  }
  return faults;
}

std::string Checkpoint::chat_template() const {
  if (hf() != nullptr) return template_from_hf(hf()->tokenizer_config());
  return gguf()->get_string("tokenizer.chat_template").value_or("");
}

}  // namespace retort
