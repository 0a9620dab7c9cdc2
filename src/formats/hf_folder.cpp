#include "formats/hf_folder.h"

#include <set>

#include "formats/json.h"

namespace retort {
namespace {

using nlohmann::json;
using std::filesystem::path;

// Several times what the largest models published have.
constexpr JsonLimits kConfigLimits = {.max_bytes = 16 << 20, .max_depth = 32};
constexpr JsonLimits kTokenizerLimits = {.max_bytes = 128 << 20, .max_depth = 32};
constexpr JsonLimits kIndexLimits = {.max_bytes = 64 << 20, .max_depth = 8, .refuse_duplicate_keys = true};
constexpr uint64_t kMaxTemplateBytes = 4 << 20;

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";

std::string_view text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

bool is_there(const path& file_path) {
  std::error_code unreadable;  // then it counts as absent
  return std::filesystem::exists(file_path, unreadable);
}

Result<json> read_json(const path& file_path, const JsonLimits& limits) {
  RETORT_ASSIGN(const auto file, MappedFile::open(file_path));
  return parse_json_object(text_of(file), limits, fmt::format("[hf] {}", file_path.filename().string()));
}

Result<json> read_json_if_there(const path& file_path, const JsonLimits& limits) {
  if (!is_there(file_path)) return json();
  return read_json(file_path, limits);
}

// Newer folders keep the chat template in a file of its own; as in transformers it outranks the one in the config.
Status take_template_file(const path& file_path, json& tokenizer_config) {
  if (!is_there(file_path)) return {};
  RETORT_ASSIGN(const auto file, MappedFile::open(file_path));
  if (file.bytes().size() > kMaxTemplateBytes) {
    return fail(ErrorKind::kTooLarge, "[hf] {}: {} bytes, the limit is {}", file_path.filename().string(),
                file.bytes().size(), kMaxTemplateBytes);
  }
  tokenizer_config["chat_template"] = text_of(file);
  return {};
}

// A shard is a file beside its index: its name leads nowhere else.
Status check_shard_name(const json& shard, const std::string& tensor) {
  const bool is_plain =
      shard.is_string() && !shard.get_ref<const std::string&>().empty() &&
      shard.get_ref<const std::string&>().find_first_of(std::string_view("/\\\0", 3)) == std::string::npos &&
      shard != "." && shard != "..";
  if (!is_plain) {
    return fail(ErrorKind::kBadInput, "[hf] {}: tensor {}: expected the name of a file in the folder, file holds {}",
                kIndexFile, printable(tensor), printable(shard.dump()));
  }
  return {};
}

}  // namespace

Result<HfFolder> HfFolder::open(const path& folder) {
  if (!is_there(folder / "config.json"))
    return fail(ErrorKind::kNotFound,
                "[hf] {}: expected a model's folder with config.json, tokenizer.json and {}, it has no config.json",
                folder.string(), kSingleFile);
  HfFolder opened;
  RETORT_ASSIGN(opened.config_, read_json(folder / "config.json", kConfigLimits));
  RETORT_ASSIGN(opened.tokenizer_, read_json_if_there(folder / "tokenizer.json", kTokenizerLimits));
  RETORT_ASSIGN(opened.tokenizer_config_, read_json_if_there(folder / "tokenizer_config.json", kConfigLimits));
  RETORT_ASSIGN(opened.generation_config_, read_json_if_there(folder / "generation_config.json", kConfigLimits));
  RETORT_TRY(take_template_file(folder / "chat_template.jinja", opened.tokenizer_config_));
  if (is_there(folder / kSingleFile)) {
    RETORT_TRY(opened.add_file(folder / kSingleFile));
  } else if (is_there(folder / kIndexFile)) {
    RETORT_TRY(opened.add_shards(folder));
  } else {
    return fail(ErrorKind::kNotFound, "[hf] {}: expected {} or {}, folder has neither", folder.string(), kSingleFile,
                kIndexFile);
  }
  return opened;
}

Status HfFolder::add_file(const path& file_path) {
  const std::string name = file_path.filename().string();
  RETORT_ASSIGN(auto file, MappedFile::open(file_path));
  RETORT_ASSIGN(auto tensors, parse_safetensors(file.bytes(), name));
  RETORT_TRY(tensors_.add(std::move(tensors), fmt::format("[hf] {}", name)));
  tensors_.hold(std::move(file));
  return {};
}

Status HfFolder::add_shards(const path& folder) {
  RETORT_ASSIGN(const json index, read_json(folder / kIndexFile, kIndexLimits));
  const auto weight_map = index.find("weight_map");
  if (weight_map == index.end() || !weight_map->is_object()) {
    return fail(ErrorKind::kBadInput, "[hf] {}: expected an object weight_map", kIndexFile);
  }
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : weight_map->items()) {
    RETORT_TRY(check_shard_name(shard, tensor));
    shards.insert(shard.get<std::string>());
  }
  for (const std::string& shard : shards) RETORT_TRY(add_file(folder / shard));
  for (const auto& [tensor, shard] : weight_map->items()) {
    if (find_tensor(tensor) == nullptr) {
      return fail(ErrorKind::kBadInput, "[hf] {}: tensor {}: expected it in {}, no shard holds it", kIndexFile,
                  printable(tensor), shard.get_ref<const std::string&>());
    }
  }
  return {};
}

}  // namespace retort
