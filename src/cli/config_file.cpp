#include "cli/config_file.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "cli/suggest.h"
#include "cli/text_file.h"

namespace retort {
namespace {

bool is_given(const CLI::Option& option, const std::vector<std::string>& given) {
  const char* from_environment = option.get_envname().empty() ? nullptr : std::getenv(option.get_envname().c_str());
  if (from_environment != nullptr && *from_environment != '\0') return true;
  for (const auto& name : option.get_lnames())
    for (const auto& argument : given)
      if (argument == "--" + name || argument.starts_with("--" + name + "=")) return true;
  return false;
}

bool is_for_files(const std::string& name) { return name != "config" && name != "help"; }

// YAML 1.2 reads 010 as ten, YAML 1.1 and the parser of flags as eight.
bool is_octal_to_some(const CLI::Option& option, const std::string& value) {
  const std::string digits = value.substr(value.starts_with('-') || value.starts_with('+') ? 1 : 0);
  const bool is_number = option.get_type_name().find("INT") != std::string::npos;
  return is_number && digits.size() > 1 && digits.front() == '0' &&
         digits.find_first_not_of("0123456789") == std::string::npos;
}

// An empty one stands by itself: after "--name=" the next argument would be taken for it.
Status add_argument(const std::string& name, const CLI::Option& option, const std::string& value,
                    std::vector<std::string>& arguments) {
  if (is_octal_to_some(option, value))
    return fail(ErrorKind::kBadUsage, "[config] {}: expected a number without zeros in front, got {}", name, value);
  if (!value.empty()) {
    arguments.push_back("--" + name + "=" + value);
    return {};
  }
  const bool is_flag = option.get_items_expected_min() == 0;
  if (is_flag) return fail(ErrorKind::kBadUsage, "[config] {}: expected true or false, got nothing", name);
  arguments.push_back("--" + name);
  arguments.emplace_back();
  return {};
}

Status add_arguments(const std::string& name, const CLI::Option& option, const YAML::Node& value,
                     std::vector<std::string>& arguments) {
  const bool is_list = option.get_items_expected_max() > 1;
  if (!value.IsScalar() && !(value.IsSequence() && is_list))
    return fail(ErrorKind::kBadUsage, "[config] {}: expected {}", name,
                is_list ? "a value or a list of values" : "a single value");
  if (value.IsScalar()) return add_argument(name, option, value.Scalar(), arguments);
  if (value.size() == 0) return fail(ErrorKind::kBadUsage, "[config] {}: expected a value at least, got none", name);
  for (const auto& item : value) {
    if (!item.IsScalar()) return fail(ErrorKind::kBadUsage, "[config] {}: expected a list of plain values", name);
    RETORT_TRY(add_argument(name, option, item.Scalar(), arguments));
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> arguments_from_config(const std::string& path, const CLI::App& app,
                                                       const std::vector<std::string>& given) {
  const auto text = read_text_file(path);
  if (!text) return fail(text.error().kind, "[config] {}: {}", path, text.error().message);
  YAML::Node root;
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(*text);
    if (documents.size() > 1)
      return fail(ErrorKind::kBadUsage, "[config] {}: expected one document, got {} ('---' begins another)", path,
                  documents.size());
    if (!documents.empty()) root = documents.front();
  } catch (const YAML::Exception& error) {
    return fail(ErrorKind::kBadUsage, "[config] {}: {}", path, error.what());
  }
  if (root.IsNull()) return std::vector<std::string>{};  // empty, or all comments
  if (!root.IsMap()) return fail(ErrorKind::kBadUsage, "[config] {}: expected a mapping of flags to values", path);
  std::vector<std::string> known, arguments;
  std::set<const CLI::Option*> seen;
  for (const auto* option : app.get_options())
    for (const auto& name : option->get_lnames())
      if (is_for_files(name)) known.push_back(name);
  for (const auto& entry : root) {
    std::string name = entry.first.IsScalar() ? entry.first.Scalar() : "";
    std::replace(name.begin(), name.end(), '_', '-');
    const auto* option = app.get_option_no_throw("--" + name);
    if (option == nullptr || !is_for_files(name))
      return fail(ErrorKind::kBadUsage, "[config] {}: no flag is called '{}'{}", path, name, did_you_mean(name, known));
    if (!seen.insert(option).second) return fail(ErrorKind::kBadUsage, "[config] {}: '{}' is there twice", path, name);
    if (!is_given(*option, given)) RETORT_TRY(add_arguments(name, *option, entry.second, arguments));
  }
  return arguments;
}

}  // namespace retort
