// The models Retort knows by name (cli/catalogue.json, built in): where their bytes come from and what they must hash
// to.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/llm.h"

namespace retort {

enum class HubKind { kHuggingFace, kModelScope };

struct HubSource {
  HubKind hub;
  std::string repo;  // "OWNER/REPO"
  std::string file;
};

struct CatalogueModel {
  std::string name, about, licence, file, sha256;
  SamplingDefaults sampling;  // the makers', for a file that carries none
  uint64_t num_bytes = 0;
  std::vector<HubSource> hubs;  // in order of preference
  bool on_pypi = false;         // scripts/fetch_model.py can get it from a package index
};

// Error: the text is not a catalogue.
Result<std::vector<CatalogueModel>> parse_catalogue(std::string_view json);
const std::vector<CatalogueModel>& catalogue();
const CatalogueModel* find_in_catalogue(std::string_view name);  // null when unknown

// The model whose file has this name; null when unknown.
const CatalogueModel* catalogue_model_of(const std::filesystem::path& file);

std::string ways_to_fetch(const CatalogueModel& model);  // for a person: "retort pull NAME; or from PyPI, …"

std::string_view hub_name(HubKind hub);  // as catalogue.json and --hub spell it
std::optional<HubKind> hub_from_name(std::string_view name);

}  // namespace retort
