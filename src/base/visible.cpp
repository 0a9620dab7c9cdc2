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

// U+202A to U+202E and U+2066 to U+2069 put what follows in another order than it has (CVE-2021-42574).
bool reorders(std::string_view text) {
  const auto last = static_cast<unsigned char>(text.size() < 3 ? 0 : text[2]);
  return (text.starts_with("\xE2\x80") && last >= 0xAA && last <= 0xAE) ||
         (text.starts_with("\xE2\x81") && last >= 0xA6 && last <= 0xA9);
}

std::string shown_by_code(std::string_view three_bytes) {
  const int code = 0x2000 + (three_bytes[1] & 0x3F) * 64 + (three_bytes[2] & 0x3F);
  return fmt::format("\\u{:04x}", code);
}

}  // namespace

std::string visible(std::string_view text) {
  std::string shown;
  unsigned char before = 0;
  int pending = 0;  // bytes of the character that has begun
  for (size_t i = 0; i < text.size(); ++i) {
    if (pending == 0 && reorders(text.substr(i))) {
      shown += shown_by_code(text.substr(i, 3));
      i += 2;
      continue;
    }
    const char c = text[i];
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
