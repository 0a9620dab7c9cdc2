#include "text/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "base/result.h"
#include "text/unicode.h"

namespace retort {
namespace {

struct CodeRange {
  char32_t first, last;
};

bool in_ranges(const CodeRange* begin, const CodeRange* end, char32_t code) {
  const auto* at =
      std::lower_bound(begin, end, code, [](const CodeRange& range, char32_t c) { return range.last < c; });
  return at != end && code >= at->first;
}

// Characters given a combining class or a decomposition after Unicode 9, whose tables Hugging Face's tokenizers use:
// plain ones to them. (And U+11A7, which utf8proc 2.8 drops behind a Hangul syllable.)
constexpr CodeRange kLeftAlone[] = {
#include "text/nfc_exceptions.inc"
};

// Ranges without anything that composes, decomposes or combines: most text is only these and stays as it is.
constexpr CodeRange kUnaffected[] = {
    {0x0, 0x2FF},     {0x370, 0x373},   {0x388, 0x3FF},   {0x400, 0x482},     {0x48A, 0x52F},
    {0x2010, 0x2027}, {0x2030, 0x205E}, {0x2190, 0x2328}, {0x2460, 0x2ADB},   {0x2ADD, 0x2BFF},
    {0x3000, 0x3029}, {0x3030, 0x3098}, {0x309B, 0x30FF}, {0x3105, 0x312F},   {0x3400, 0x4DBF},
    {0x4E00, 0x9FFF}, {0xAC00, 0xD7A3}, {0xFF01, 0xFFEF}, {0x1F300, 0x1FAFF},
};

bool is_unaffected(std::string_view text) {
  for (size_t pos = 0; pos < text.size();) {
    if (static_cast<uint8_t>(text[pos]) < 0x80) {
      ++pos;
      continue;
    }
    const Utf8Step step = next_utf8(text, pos);
    if (!in_ranges(std::begin(kUnaffected), std::end(kUnaffected), step.code)) return false;
    pos += step.length;
  }
  return true;
}

void compose(std::string_view text, std::string& out) {
  if (text.empty()) return;
  utf8proc_uint8_t* result = nullptr;
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  const utf8proc_ssize_t size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                             static_cast<utf8proc_ssize_t>(text.size()), &result, options);
  RETORT_CHECK(size >= 0);  // only invalid UTF-8 and lack of memory can fail
  out.append(reinterpret_cast<const char*>(result), static_cast<size_t>(size));
  std::free(result);
}

bool apply(const Normalizer::Nfc&, std::string_view text, std::string& out) {
  if (is_unaffected(text)) return false;
  // A character the oracle takes for a plain one is a border nothing composes across.
  size_t done = 0;
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Step step = next_utf8(text, pos);
    if (in_ranges(std::begin(kLeftAlone), std::end(kLeftAlone), step.code)) {
      compose(text.substr(done, pos - done), out);
      out.append(text.substr(pos, step.length));
      done = pos + step.length;
    }
    pos += step.length;
  }
  compose(text.substr(done), out);
  return true;
}

bool apply(const Normalizer::Prepend& prepend, std::string_view text, std::string& out) {
  if (text.empty()) return false;
  out.append(prepend.text).append(text);
  return true;
}

bool apply(const Normalizer::Replace& replace, std::string_view text, std::string& out) {
  size_t at = replace.from.empty() ? std::string_view::npos : text.find(replace.from);
  if (at == std::string_view::npos) return false;
  size_t done = 0;
  for (; at != std::string_view::npos; at = text.find(replace.from, done)) {
    out.append(text.substr(done, at - done)).append(replace.to);
    done = at + replace.from.size();
  }
  out.append(text.substr(done));
  return true;
}

}  // namespace

std::string_view Normalizer::apply(std::string_view text, std::string& storage) const {
  for (const Step& step : steps_) {
    std::string out;
    if (!std::visit([&](const auto& s) { return retort::apply(s, text, out); }, step)) continue;
    storage = std::move(out);
    text = storage;
  }
  return text;
}

}  // namespace retort
