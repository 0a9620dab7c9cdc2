#include "cli/environment.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <iterator>
#include <regex>
#include <string_view>

#include "cli/suggest.h"

namespace retort {
namespace {

constexpr std::string_view kPrefix = "RETORT_";

// Read by other parts of the program, or by its tests and scripts.
constexpr std::array<std::string_view, 7> kOwnVariables = {"RETORT_CACHE",  "RETORT_CONFIG",     "RETORT_ISA",
                                                           "RETORT_BINARY", "RETORT_TEST_MODEL", "RETORT_REAL_MODEL",
                                                           "RETORT_OPENAPI"};

// What stands behind the prefix: MAX_MODEL_LEN.
std::string variable_of(const CLI::Option& option) {
  if (option.get_lnames().empty() || option.get_name() == "--help" || option.get_name() == "--config") return "";
  std::string name = option.get_lnames().front();
  std::replace(name.begin(), name.end(), '-', '_');
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::toupper(c); });
  return name;
}

// What Kubernetes and Docker's links tell of a service's address under the name of a flag: tcp://10.0.0.1:8000.
bool is_address_of_service(std::string_view name, std::string_view value) {
  return name.ends_with("_PORT") && value.find("://") != std::string_view::npos;
}

bool is_of_service(const std::string& name) {
  static const std::regex kPattern(
      "RETORT(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)");
  return std::regex_match(name, kPattern);
}

std::vector<std::string> flags_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const auto* option : app.get_options())
    if (!variable_of(*option).empty()) names.push_back(variable_of(*option));
  return names;
}

}  // namespace

void read_environment(CLI::App& app) {
  for (auto* option : app.get_options()) {
    if (variable_of(*option).empty()) continue;
    const std::string name = std::string(kPrefix) + variable_of(*option);
    const char* value = std::getenv(name.c_str());
    if (value != nullptr && !is_address_of_service(name, value)) option->envname(name);
  }
}

std::vector<std::string> unread_variables(const CLI::App& app) {
  const auto own = flags_of(app);
  std::vector<std::string> known;
  for (const auto* command : app.get_parent()->get_subcommands([](const CLI::App*) { return true; }))
    std::ranges::copy(flags_of(*command), std::back_inserter(known));
  std::vector<std::string> sentences;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string name(text.substr(0, text.find('=')));
    const auto value = text.substr(std::min(name.size() + 1, text.size()));
    if (!name.starts_with(kPrefix) || std::ranges::count(kOwnVariables, name) > 0 || is_of_service(name)) continue;
    if (is_address_of_service(name, value)) {
      if (std::ranges::count(own, name.substr(kPrefix.size())) > 0)
        sentences.push_back(
            fmt::format("{}={} is not taken for a flag's: it is an address as Kubernetes sets it for a service of that "
                        "name",
                        name, value));
    } else if (std::ranges::count(known, name.substr(kPrefix.size())) == 0) {
      const auto meant = nearest(name.substr(kPrefix.size()), known);
      sentences.push_back(fmt::format("{} sets nothing: no flag is called so{}", name,
                                      meant ? fmt::format(" (did you mean '{}{}'?)", kPrefix, *meant) : ""));
    }
  }
  return sentences;
}

}  // namespace retort
