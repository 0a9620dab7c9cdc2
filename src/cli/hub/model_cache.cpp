#include "cli/hub/model_cache.h"

#include <array>
#include <cstdlib>
#include <fstream>

#include "cli/hub/catalogue.h"
#include "cli/hub/choose_files.h"
#include "cli/suggest.h"
#include "formats/mapped_tensors.h"

namespace retort {

namespace fs = std::filesystem;

namespace {

std::vector<HubFile> files_below(const fs::path& folder) {
  std::vector<HubFile> files;
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(folder, error); !error && it != fs::recursive_directory_iterator();
       it.increment(error))
    if (it->is_regular_file(error))
      files.push_back({fs::relative(it->path(), folder).string(), it->file_size(error), {}});
  return files;
}

std::string known_names() {
  std::string names;
  for (const auto& model : catalogue()) names += "\n  " + model.name;
  return names;
}

Result<fs::path> find_catalogue_model(const CatalogueModel& model) {
  RETORT_ASSIGN(const auto models, models_folder());
  const auto path = models / model.file;
  std::error_code error;
  const auto num_bytes = fs::file_size(path, error);
  if (num_bytes == model.num_bytes && !error) return path;
  if (!error)
    return fail(ErrorKind::kBadInput, "[model] {}: expected {} bytes, it has {}. Fetch it anew: {}", path.string(),
                model.num_bytes, num_bytes, ways_to_fetch(model));
  return fail(ErrorKind::kNotFound, "[model] {} is not on this machine. Fetch it first: {}", model.name,
              ways_to_fetch(model));
}

std::string_view kind_name(fs::file_type type) {
  switch (type) {
    case fs::file_type::fifo:
      return "a named pipe";
    case fs::file_type::socket:
      return "a socket";
    case fs::file_type::block:
    case fs::file_type::character:
      return "a device";
    default:
      return "something else";
  }
}

// A file that was named by mistake is told in simpler words than a parser has.
Status check_looks_like_model(const fs::path& path) {
  constexpr std::string_view kMagic = "GGUF";
  const auto type = fs::status(path).type();
  if (type == fs::file_type::directory) return {};
  if (type != fs::file_type::regular)
    return fail(ErrorKind::kBadInput, "[model] {}: expected a file or a folder, it is {}", path.string(),
                kind_name(type));
  std::array<char, 16> bytes{};
  std::ifstream file(path, std::ios::binary);
  file.read(bytes.data(), bytes.size());
  const std::string_view beginning(bytes.data(), static_cast<size_t>(file.gcount()));
  if (!file.is_open() || beginning.starts_with(kMagic)) return {};
  return fail(ErrorKind::kBadInput,
              "[model] {} is not a GGUF file: {}; expected \"{}\". A model in safetensors is named by its folder",
              path.string(),
              beginning.empty() ? "it is empty" : fmt::format("it begins with \"{}\"", printable(beginning)), kMagic);
}

}  // namespace

Result<fs::path> cache_folder() {
  if (const char* cache = std::getenv("RETORT_CACHE"); cache != nullptr && *cache != '\0') return fs::path(cache);
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') return fs::path(home) / ".cache/retort";
  return fail(
      ErrorKind::kBadUsage,
      "[model] no folder for models: RETORT_CACHE names one, else ~/.cache/retort is taken, but HOME is not set");
}

Result<fs::path> models_folder() {
  RETORT_ASSIGN(const auto cache, cache_folder());
  return cache / "models";
}

Result<RepoReference> parse_repo_reference(std::string_view text) {
  const auto colon = text.find(':');
  RepoReference reference{std::string(text.substr(0, colon)),
                          colon == std::string_view::npos ? "" : std::string(text.substr(colon + 1))};
  if (!is_repo_name(reference.repo) || (colon != std::string_view::npos && reference.quant.empty()))
    return fail(ErrorKind::kBadUsage,
                "[model] expected a path, a name of the catalogue or OWNER/REPO[:QUANT], got '{}'", text);
  return reference;
}

Result<fs::path> find_model(const std::string& name) {
  std::error_code error;
  if (fs::exists(name, error)) {
    RETORT_TRY(check_looks_like_model(name));
    return fs::path(name);
  }
  if (const auto* model = find_in_catalogue(name)) return find_catalogue_model(*model);
  if (name.ends_with(".gguf") || name.starts_with('/') || name.starts_with('.'))
    return fail(ErrorKind::kNotFound, "[model] {}: no such file or folder", name);
  if (const auto reference = parse_repo_reference(name)) {
    RETORT_ASSIGN(const auto models, models_folder());
    const auto folder = models / reference->repo;
    if (const auto chosen = choose_files(files_below(folder), reference->quant))
      return chosen->model.empty() ? folder : folder / chosen->model;
    return fail(ErrorKind::kNotFound, "[model] {0} is not on this machine. Fetch it first: retort pull {0}", name);
  }
  std::vector<std::string> names;
  for (const auto& model : catalogue()) names.push_back(model.name);
  return fail(ErrorKind::kNotFound, "[model] no file, folder or model '{}'{}. Known by name:{}", name,
              did_you_mean(name, names), known_names());
}

}  // namespace retort
