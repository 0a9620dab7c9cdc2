// Options from a YAML file, as vLLM's --config: one mapping of flags to values. The command line and the environment go
// first.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace retort {

// What the file `path` adds to `given`, as arguments for `app`.
Result<std::vector<std::string>> arguments_from_config(const std::string& path, const CLI::App& app,
                                                       const std::vector<std::string>& given);

}  // namespace retort
