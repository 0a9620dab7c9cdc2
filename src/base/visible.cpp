#include "base/visible.h"

#include <fmt/format.h>

#include <iterator>

namespace retort {
namespace {

// How many bytes follow one that begins a character in UTF-8.
int num_continuations(unsigned char first) {
  if (first >= 0xF0 && first < 0xF8) return 3;
  if (first >= 0xE0) return first < 0xF0 ? 2 : 0;
  return first >= 0xC2 ? 1 : 0;
}

}  // namespace

std::string visible(std::string_view text) {
  std::string shown;
  unsigned char before = 0;
  int pending = 0;  // bytes of the character that has begun
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool continues = pending > 0 && byte >= 0x80 && byte < 0xC0;
    const bool is_c1 = byte >= 0x80 && byte < 0xA0 && (!continues || before == 0xC2);
    if (is_c1 && continues) shown.pop_back();
    if ((byte < ' ' && c != '\n' && c != '\t') || byte == 0x7F || is_c1)
      fmt::format_to(std::back_inserter(shown), "\\x{:02x}", byte);
    else
      shown += c;
    pending = continues ? pending - 1 : num_continuations(byte);
    before = byte;
  }
  return shown;
}

std::string visible_line(std::string_view text) {
  std::string line;
  for (const char c : visible(text)) {
    if (c == '\n')
      line += "\\n";
    else if (c == '\t')
      line += "\\t";
    else
      line += c;
  }
  return line;
}

}  // namespace retort
