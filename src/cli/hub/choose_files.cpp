#include "cli/hub/choose_files.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>

namespace retort {
namespace {

// Tried in this order when no quant is named: most people's balance of size and quality first.
constexpr std::array<std::string_view, 5> kUsualQuants = {"Q4_K_M", "Q4_0", "Q8_0", "BF16", "F16"};
constexpr std::array<std::string_view, 6> kFolderFiles = {
    "tokenizer.json",      "tokenizer_config.json",        "generation_config.json",
    "chat_template.jinja", "model.safetensors.index.json", "special_tokens_map.json"};

std::string upper(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), [](unsigned char c) { return std::toupper(c); });
  return result;
}

bool is_number(std::string_view text) {
  return text.size() == 5 &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
}

// One GGUF model: a file, or the parts of a split one.
struct GgufModel {
  std::string stem;  // upper case, without ".gguf" and "-00001-of-00003"
  size_t num_parts = 1;
  std::vector<HubFile> files;
};

constexpr std::string_view kSplit = "-00001-of-00001";

std::vector<GgufModel> gguf_models(const std::vector<HubFile>& files) {
  std::map<std::string, GgufModel> models;
  for (const auto& file : files) {
    if (!file.path.ends_with(".gguf") || upper(file.path).find("MMPROJ") != std::string::npos) continue;
    std::string stem = file.path.substr(0, file.path.size() - 5);
    size_t num_parts = 1;
    if (stem.size() > kSplit.size()) {
      const auto tail = std::string_view(stem).substr(stem.size() - kSplit.size());
      if (tail[0] == '-' && is_number(tail.substr(1, 5)) && tail.substr(6, 4) == "-of-" &&
          is_number(tail.substr(10, 5))) {
        num_parts = std::stoul(std::string(tail.substr(10, 5)));
        stem.resize(stem.size() - kSplit.size());
      }
    }
    auto& model = models[stem + "/" + std::to_string(num_parts)];
    model.stem = upper(stem.substr(stem.rfind('/') + 1));
    model.num_parts = num_parts;
    model.files.push_back(file);
  }
  std::vector<GgufModel> list;
  for (auto& [key, model] : models) {
    std::sort(model.files.begin(), model.files.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
    list.push_back(std::move(model));
  }
  return list;
}

// "…-Q4_K_M", "….Q4_K_M": the quant is the end of the name, after a separator.
bool has_quant(const GgufModel& model, const std::string& quant) {
  if (!model.stem.ends_with(quant) || model.stem.size() == quant.size()) return model.stem == quant;
  return std::string_view("-._").find(model.stem[model.stem.size() - quant.size() - 1]) != std::string_view::npos;
}

// Of several that match ("…-Q4_K_M" and "…-UD-Q4_K_M") the plainest name.
const GgufModel* find_quant(const std::vector<GgufModel>& models, const std::string& quant) {
  const GgufModel* best = nullptr;
  for (const auto& model : models)
    if (has_quant(model, quant) && (best == nullptr || model.stem.size() < best->stem.size())) best = &model;
  return best;
}

std::string names_of(const std::vector<GgufModel>& models) {
  std::string names;
  for (const auto& model : models) names += "\n  " + model.files.front().path;
  return names;
}

Result<ChosenFiles> choose_gguf(const std::vector<GgufModel>& models, std::string_view quant) {
  const GgufModel* chosen = nullptr;
  if (!quant.empty()) {
    chosen = find_quant(models, upper(quant));
    if (chosen == nullptr)
      return fail(ErrorKind::kNotFound, "no GGUF file here is {}; there are:{}", quant, names_of(models));
  } else if (models.size() == 1) {
    chosen = &models.front();
  } else {
    for (const auto usual : kUsualQuants)
      if (chosen = find_quant(models, std::string(usual)); chosen != nullptr) break;
    if (chosen == nullptr)
      return fail(ErrorKind::kNotFound, "several GGUF files are here; choose one with OWNER/REPO:QUANT:{}",
                  names_of(models));
  }
  if (chosen->files.size() != chosen->num_parts)
    return fail(ErrorKind::kNotFound, "{}: expected {} parts, there are {}", chosen->files.front().path,
                chosen->num_parts, chosen->files.size());
  return ChosenFiles{chosen->files, chosen->files.front().path};
}

Result<ChosenFiles> choose_folder(const std::vector<HubFile>& files) {
  const auto named = [&](std::string_view name) {
    return std::find_if(files.begin(), files.end(), [&](const auto& file) { return file.path == name; });
  };
  const auto config = named("config.json");
  ChosenFiles chosen;
  for (const auto& file : files)
    if (file.path.starts_with("model") && file.path.ends_with(".safetensors") &&
        file.path.find('/') == std::string::npos)
      chosen.files.push_back(file);
  if (config == files.end() || chosen.files.empty())
    return fail(ErrorKind::kNotFound,
                "no model Retort can read is here: expected a .gguf file, or config.json and model*.safetensors");
  for (const auto name : kFolderFiles)
    if (const auto found = named(name); found != files.end()) chosen.files.push_back(*found);
  chosen.files.push_back(*config);
  return chosen;
}

}  // namespace

Result<ChosenFiles> choose_files(const std::vector<HubFile>& files, std::string_view quant) {
  const auto models = gguf_models(files);
  if (models.empty() && !quant.empty())
    return fail(ErrorKind::kNotFound, "no GGUF file is here, so {} cannot be chosen", quant);
  return models.empty() ? choose_folder(files) : choose_gguf(models, quant);
}

}  // namespace retort
