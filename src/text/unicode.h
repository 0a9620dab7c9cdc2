// UTF-8: decoding with the rules of the Unicode Standard's table 3-7, so that damage is found where Python and Rust
// find it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace retort {

enum class Utf8State : uint8_t {
  kValid,
  kInvalid,     // these bytes can never become a character
  kIncomplete,  // the text ends inside a character that more bytes could complete
};

struct Utf8Step {
  char32_t code;    // the character, when kValid
  uint32_t length;  // bytes consumed; for damage the longest prefix that could have begun a character, at least 1
  Utf8State state;
};

// `pos` must be inside the text.
Utf8Step next_utf8(std::string_view text, size_t pos);

// Bytes from the beginning that are valid UTF-8.
size_t valid_utf8_prefix(std::string_view text);

// Bytes at the end that begin a character which is not complete yet: 0 to 3.
size_t incomplete_utf8_suffix(std::string_view text);

// Every damaged sequence becomes one U+FFFD, as Python's errors="replace" and Rust's from_utf8_lossy have it.
std::string replace_invalid_utf8(std::string_view text);

void append_utf8(std::string& out, char32_t code);

// White_Space of the Unicode Standard: what `\s` means to Hugging Face's tokenizers.
bool is_unicode_space(char32_t code);

// Full case folding (CaseFolding.txt, by utf8proc): equal for texts that differ in case alone. Damaged UTF-8 gets
// U+FFFD.
std::string case_folded(std::string_view text);

}  // namespace retort
