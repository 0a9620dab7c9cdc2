// Where models lie on this machine, and what the name of one means: a path, a name of the catalogue, or
// OWNER/REPO[:QUANT].
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace retort {

// RETORT_CACHE, else ~/.cache/retort. Error kBadUsage: neither it nor HOME is set.
Result<std::filesystem::path> cache_folder();
Result<std::filesystem::path> models_folder();  // "models" in it

struct RepoReference {
  std::string repo, quant;  // "OWNER/REPO", "Q4_K_M" or ""
};
// Error kBadUsage: not OWNER/REPO or OWNER/REPO:QUANT.
Result<RepoReference> parse_repo_reference(std::string_view text);

// The file or folder to open. Errors: kNotFound with the remedy when it is not here, kBadInput for a path to what is no
// model by its first bytes.
Result<std::filesystem::path> find_model(const std::string& name);

}  // namespace retort
