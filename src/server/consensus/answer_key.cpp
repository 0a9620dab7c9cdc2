#include "server/consensus/answer_key.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "server/consensus/boxed_answer.h"
#include "server/fields/json_input.h"
#include "text/unicode.h"

namespace retort {
namespace {

// Words with one space between, of characters that are not space.
std::string single_spaced(std::string_view text) {
  std::string out;
  bool in_word = false;
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = next_utf8(text, at);
    const bool is_space = step.state == Utf8State::kValid && is_unicode_space(step.code);
    if (!is_space) {
      if (!in_word && !out.empty()) out += ' ';
      out += text.substr(at, step.length);
    }
    in_word = !is_space;
    at += step.length;
  }
  return out;
}

std::optional<ExtractedAnswer> as_text(std::string_view text) {
  std::string words = single_spaced(text);
  if (words.empty()) return std::nullopt;
  std::string key = case_folded(words);
  while (!key.empty() && std::string_view(".,;:!").find(key.back()) != std::string_view::npos) key.pop_back();
  return ExtractedAnswer{std::move(words), std::move(key)};
}

// ```json … ``` → what is between.
std::string_view without_fence(std::string_view text) {
  const auto trim = [&text] {
    constexpr std::string_view kSpace = " \t\r\n";
    const size_t begin = text.find_first_not_of(kSpace);
    text = begin == std::string_view::npos ? "" : text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
  };
  trim();
  if (text.size() < 6 || !text.starts_with("```") || !text.ends_with("```")) return text;
  const size_t line_end = text.find('\n');
  if (line_end == std::string_view::npos) return text;
  text = text.substr(line_end + 1, text.size() - line_end - 4);
  trim();
  return text;
}

// nlohmann::json sorts its keys. Depth is bounded by parse_json's limit.
nlohmann::json canonical(const Json& value) {
  nlohmann::json out;
  if (value.is_object()) {
    out = nlohmann::json::object();
    for (const auto& [key, member] : value.items()) out[key] = canonical(member);
  } else if (value.is_array()) {
    out = nlohmann::json::array();
    for (const Json& item : value) out.push_back(canonical(item));
  } else if (value.is_number_float()) {
    constexpr double kExactDouble = 9007199254740992.0;  // 2^53
    const double number = value.get<double>();
    if (number == std::trunc(number) && std::abs(number) <= kExactDouble)
      out = static_cast<int64_t>(number);
    else
      out = number;
  } else {
    out = value;
  }
  return out;
}

std::optional<ExtractedAnswer> as_json(std::string_view text) {
  const ApiResult<Json> parsed = parse_json(without_fence(text));
  if (!parsed) return std::nullopt;
  return ExtractedAnswer{dump_json(*parsed),
                         canonical(*parsed).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)};
}

std::optional<ExtractedAnswer> as_boxed(std::string_view text) {
  std::optional<std::string> boxed = last_boxed(text);
  if (!boxed) return std::nullopt;
  std::string key = normalise_maths(*boxed);
  return ExtractedAnswer{std::move(*boxed), std::move(key)};
}

}  // namespace

std::optional<ExtractedAnswer> extract_answer(AnswerKind kind, std::string_view text) {
  switch (kind) {
    case AnswerKind::kBoxed:
      return as_boxed(text);
    case AnswerKind::kJson:
      return as_json(text);
    case AnswerKind::kText:
      return as_text(text);
  }
  return std::nullopt;
}

}  // namespace retort
