#include "cli/help.h"

#include <fmt/format.h>

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

}  // namespace

std::string HelpFormatter::make_option(const CLI::Option* option, bool is_positional) const {
  std::string name = option->get_name(is_positional, !is_positional);
  if (!is_positional && option->get_type_size() != 0) name += " " + option->get_type_name();
  std::string text = option->get_description();
  if (!option->get_default_str().empty()) text += fmt::format(" [{}]", option->get_default_str());
  return two_columns(name, text);
}

std::string HelpFormatter::make_subcommand(const CLI::App* sub) const {
  return two_columns(sub->get_name(), sub->get_description());
}

}  // namespace retort
