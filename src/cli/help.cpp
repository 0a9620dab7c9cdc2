#include "cli/help.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace retort {
namespace {

constexpr size_t kNameColumn = 32, kLineWidth = 110;

// `name`, then `text` beside it in lines of words; below it when the name is too long.
std::string two_columns(const std::string& name, const std::string& text) {
  std::string result = fmt::format("  {:<{}}", name, kNameColumn - 2);
  if (name.size() + 3 > kNameColumn) result += fmt::format("\n{:{}}", "", kNameColumn);
  size_t column = kNameColumn;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    const auto word = text.substr(begin, end - begin);
    if (column > kNameColumn && column + 1 + word.size() > kLineWidth) {
      result += fmt::format("\n{:{}}", "", kNameColumn);
      column = kNameColumn;
    }
    if (column > kNameColumn) result += ' ';
    result += word;
    column += word.size() + 1;
    begin = end + 1;
  }
  return result + "\n";
}

// "-p, --port", "--[no-]cache".
std::string names_of(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const auto& name : option.get_snames()) names.push_back("-" + name);
  const auto negated = [&](const std::string& name) { return option.check_fname(name); };
  for (const auto& name : option.get_lnames()) {
    const bool has_opposite = option.check_lname("no-" + name) && negated("no-" + name);
    if (!negated(name)) names.push_back((has_opposite ? "--[no-]" : "--") + name);
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

// What stands after the name: the choices, or the kind of value.
std::string value_of(const CLI::Option& option) {
  if (option.get_expected_max() == 0) return "";  // a flag
  const std::string type = option.get_type_name();
  if (const auto begin = type.find('{'); begin != std::string::npos && type.ends_with('}')) {
    std::string choices = type.substr(begin + 1, type.size() - begin - 2);
    std::replace(choices.begin(), choices.end(), ',', '|');
    return " " + choices;
  }
  if (type.find("SIZE") != std::string::npos) return type.find("1000b") == std::string::npos ? " BYTES" : " N";
  return type.starts_with("TEXT") ? " TEXT" : " N";
}

std::string default_of(const CLI::Option& option) {
  if (!option.get_default_str().empty()) return option.get_default_str();
  return option.get_expected_max() == 0 ? "off" : "none";
}

}  // namespace

std::string HelpFormatter::make_group(std::string group, bool is_positional,
                                      std::vector<const CLI::Option*> options) const {
  // CLI11 puts an empty line between the groups that follow the first.
  const bool is_first = is_positional || group == "Options";
  std::string text = (is_first ? "\n" : "") + group + ":\n";
  for (const auto* option : options) text += make_option(option, is_positional);
  return text;
}

std::string HelpFormatter::make_option(const CLI::Option* option, bool is_positional) const {
  const std::string name = is_positional ? option->get_name(true) : names_of(*option) + value_of(*option);
  std::string text = option->get_description();
  const bool is_help = option->get_name() == "--help" || option->get_name() == "--version";
  if (!is_positional && !is_help) text += fmt::format(" [{}]", default_of(*option));
  return two_columns(name, text);
}

std::string HelpFormatter::make_subcommand(const CLI::App* sub) const {
  return two_columns(sub->get_name(), sub->get_description());
}

}  // namespace retort
