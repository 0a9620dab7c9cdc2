#include "cli/environment.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <regex>
#include <string_view>

#include "cli/suggest.h"

namespace retort {
namespace {

// Read by other parts of the program, or by its tests and scripts.
constexpr std::array<std::string_view, 7> kOwnVariables = {"RETORT_CACHE",  "RETORT_CONFIG",     "RETORT_ISA",
                                                           "RETORT_BINARY", "RETORT_TEST_MODEL", "RETORT_REAL_MODEL",
                                                           "RETORT_OPENAPI"};

std::string variable_of(const CLI::Option& option) {
  if (option.get_lnames().empty() || option.get_name() == "--help" || option.get_name() == "--config") return "";
  std::string name = "RETORT_" + option.get_lnames().front();
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

}  // namespace

void read_environment(CLI::App& app) {
  for (auto* option : app.get_options()) {
    const std::string name = variable_of(*option);
    const char* value = name.empty() ? nullptr : std::getenv(name.c_str());
    if (!name.empty() && (value == nullptr || !is_address_of_service(name, value))) option->envname(name);
  }
}

std::vector<std::string> unread_variables(const CLI::App& app) {
  std::vector<std::string> known, sentences;
  for (const auto* option : app.get_options())
    if (!variable_of(*option).empty()) known.push_back(variable_of(*option));
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string name(text.substr(0, text.find('=')));
    const auto value = text.substr(std::min(name.size() + 1, text.size()));
    if (!name.starts_with("RETORT_") || std::ranges::count(kOwnVariables, name) > 0 || is_of_service(name)) continue;
    const bool is_flag = std::ranges::count(known, name) > 0;
    if (is_address_of_service(name, value)) {
      if (is_flag)
        sentences.push_back(
            fmt::format("{}={} is not taken for a flag's: it is an address as Kubernetes sets it for a service of that "
                        "name",
                        name, value));
    } else if (!is_flag) {
      sentences.push_back(fmt::format("{} sets nothing: no flag is called so{}", name, did_you_mean(name, known)));
    }
  }
  return sentences;
}

}  // namespace retort
