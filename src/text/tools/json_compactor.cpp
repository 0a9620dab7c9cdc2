#include "text/tools/json_compactor.h"

namespace retort {

std::string JsonCompactor::push(std::string_view text) {
  std::string compact;
  for (const char c : text) {
    const bool is_space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (is_string_ || !is_space) compact += c;
    if (c == '"' && !is_escaped_) is_string_ = !is_string_;
    is_escaped_ = is_string_ && c == '\\' && !is_escaped_;
  }
  return compact;
}

}  // namespace retort
