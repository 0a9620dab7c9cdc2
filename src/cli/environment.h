// The environment as a source of flags: RETORT_MAX_MODEL_LEN is --max-model-len. Others write such variables too: where
// a service is called retort, Kubernetes gives every pod of its namespace RETORT_PORT=tcp://10.0.0.1:8000,
// RETORT_SERVICE_HOST and more. So what is not known is told, and not refused.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace retort {

// Each flag of `app` but --help and --config can be set by its variable from now on.
void read_environment(CLI::App& app);
// A sentence for each variable that begins with RETORT_ and is no flag of any command, with the one that may have been
// meant, and for those that Kubernetes sets in place of a flag of `app`.
std::vector<std::string> unread_variables(const CLI::App& app);

}  // namespace retort
