#include "server/consensus/boxed_answer.h"

#include <algorithm>
#include <array>
#include <vector>

#include "server/consensus/exact_number.h"

namespace retort {
namespace {

constexpr size_t kMaxAnswerBytes = 2000;  // longer ones are compared as they are
constexpr int kMaxBoxes = 64;             // looked at, from the end, for one that closes
constexpr int kMaxDepth = 20;             // of fractions in fractions

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

template <size_t N>
bool is_one_of(std::string_view name, const std::array<std::string_view, N>& names) {
  return std::ranges::find(names, name) != names.end();
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// The position of the } that closes the { at `open`; npos when none does. \{ and \} are characters.
size_t closing_brace(std::string_view text, size_t open) {
  int depth = 0;
  for (size_t at = open; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text[at] == '{') {
      ++depth;
    } else if (text[at] == '}' && --depth == 0) {
      return at;
    }
  }
  return std::string_view::npos;
}

// A command (\frac, \,), a group in braces, or one byte: what TeX takes as one argument.
size_t item_length(std::string_view text) {
  if (text.empty()) return 0;
  if (text[0] == '{') {
    const size_t end = closing_brace(text, 0);
    return end == std::string_view::npos ? 1 : end + 1;
  }
  if (text[0] != '\\' || text.size() == 1) return 1;
  size_t end = 1;
  while (end < text.size() && is_letter(text[end])) ++end;
  return std::max<size_t>(end, 2);
}

// What a command becomes; none: it stays.
std::optional<std::string> rewritten(std::string_view name) {
  static constexpr std::array<std::string_view, 17> kNothing = {"left",         "right",  "big", "Big", "bigl", "bigr",
                                                                "Bigl",         "Bigr",   "!",   "$",   "(",    ")",
                                                                "displaystyle", "degree", "%",   "[",   "]"};
  static constexpr std::array<std::string_view, 7> kSpace = {" ", ",", ";", ":", "quad", "qquad", "enspace"};
  static constexpr std::array<std::string_view, 4> kFraction = {"dfrac", "tfrac", "cfrac", "frac"};
  if (is_one_of(name, kNothing)) return "";
  if (is_one_of(name, kSpace)) return " ";
  if (is_one_of(name, kFraction)) return "\\frac";
  if (name == "neq") return "\\ne";
  if (name == "leq") return "\\le";
  if (name == "geq") return "\\ge";
  return std::nullopt;
}

bool is_text_command(std::string_view name) {
  static constexpr std::array<std::string_view, 9> kText = {"text",   "mbox",   "textbf", "mathrm",      "textrm",
                                                            "textit", "mathbf", "rm",     "operatorname"};
  return is_one_of(name, kText);
}

// Where a unit begins that ends the text, 5\text{ cm}^2: nothing but an exponent follows it.
size_t unit_begin(std::string_view text) {
  for (const std::string_view opening : {"\\text{", "\\mbox{", "\\mathrm{"}) {
    const size_t begin = text.rfind(opening);
    if (begin == std::string_view::npos || trimmed(text.substr(0, begin)).empty()) continue;
    const size_t end = closing_brace(text, begin + opening.size() - 1);
    if (end == std::string_view::npos) continue;
    const std::string_view rest = trimmed(text.substr(end + 1));
    if (rest.empty() || (rest[0] == '^' && 1 + item_length(rest.substr(1)) == rest.size())) return begin;
  }
  return text.size();
}

// Commands that only lay out are gone, text is plain, dollar and per cent signs and degrees are dropped.
std::string without_layout(std::string_view text, int depth = 0) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t length = item_length(text.substr(at));
    const std::string_view item = text.substr(at, length);
    at += length;
    if (item[0] == '{' && length > 1) {
      const std::string_view inner = item.substr(1, length - 2);
      if (trimmed(inner) == ",")
        out += ',';  // 1{,}000
      else
        out += '{' + (depth < kMaxDepth ? without_layout(inner, depth + 1) : std::string(inner)) + '}';
    } else if (item[0] == '^' && (text.substr(at).starts_with("\\circ") || text.substr(at).starts_with("{\\circ}"))) {
      at += item_length(text.substr(at));
    } else if (item[0] == '\\' && is_text_command(item.substr(1))) {
      while (at < text.size() && is_space(text[at])) ++at;
      const size_t group = item_length(text.substr(at));
      const bool has_group = group > 1 && text[at] == '{';
      if (has_group) out += depth < kMaxDepth ? without_layout(text.substr(at + 1, group - 2), depth + 1) : "";
      if (has_group) at += group;
    } else if (item[0] == '\\') {
      out += rewritten(item.substr(1)).value_or(std::string(item));
    } else if (item == "~") {
      out += ' ';
    } else if (item != "$" && item != "%") {
      out += item;
    }
  }
  return out;
}

void remove_all(std::string& text, std::string_view part) {
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at)) text.erase(at, part.size());
}

// 1,234,567 → 1234567: groups of exactly three digits, and no space between.
std::string without_thousands_commas(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    if (!is_digit(text[at])) {
      out += text[at++];
      continue;
    }
    size_t end = at;
    while (end < text.size() && is_digit(text[end])) ++end;
    std::string digits(text.substr(at, end - at));
    const auto is_group = [&](size_t comma) {
      if (comma + 3 >= text.size() || text[comma] != ',') return false;
      for (size_t i = 1; i <= 3; ++i)
        if (!is_digit(text[comma + i])) return false;
      return comma + 4 >= text.size() || !is_digit(text[comma + 4]);
    };
    const bool may_group = digits.size() <= 3 && digits[0] != '0';
    for (; may_group && is_group(end); end += 4) digits += text.substr(end + 1, 3);
    out += digits;
    at = end;
  }
  return out;
}

// `x=5`, `k=5`, `x\in[0,1]`: what is asked for is to the right.
std::string_view without_assignment(std::string_view text) {
  if (text.size() > 4 && is_letter(text[0]) && text.substr(1, 3) == "\\in" && !is_letter(text[4]))
    return text.substr(4);
  const size_t equals = text.find('=');
  const bool is_name = equals >= 1 && equals <= 2 && is_letter(text[0]);
  return is_name && text.find('=', equals + 1) == std::string_view::npos ? text.substr(equals + 1) : text;
}

// \frac12 → \frac{1}{2}, \sqrt3 → \sqrt{3}: every argument in braces.
std::string with_braces(std::string_view text, int depth = 0) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t length = item_length(text.substr(at));
    const std::string_view item = text.substr(at, length);
    at += length;
    if (item[0] == '{' && length > 1 && depth < kMaxDepth)
      out += '{' + with_braces(item.substr(1, length - 2), depth + 1) + '}';
    else
      out += item;
    int num_arguments = item == "\\frac" ? 2 : item == "\\sqrt" && !text.substr(at).starts_with('[') ? 1 : 0;
    for (; num_arguments > 0 && at < text.size(); --num_arguments) {
      const size_t size = item_length(text.substr(at));
      std::string_view argument = text.substr(at, size);
      if (size > 1 && argument[0] == '{') argument = argument.substr(1, size - 2);
      out += '{' + (depth < kMaxDepth ? with_braces(argument, depth + 1) : std::string(argument)) + '}';
      at += size;
    }
  }
  return out;
}

// "1,(2,3),4" → 1 | (2,3) | 4.
std::vector<std::string_view> split_at_commas(std::string_view text) {
  std::vector<std::string_view> parts;
  int depth = 0;
  size_t begin = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '(' || c == '[' || c == '{') ++depth;
    if (c == ')' || c == ']' || c == '}') --depth;
    if (c != ',' || depth != 0) continue;
    parts.push_back(text.substr(begin, at - begin));
    begin = at + 1;
  }
  parts.push_back(text.substr(begin));
  return parts;
}

// Each number of a list, tuple or interval in its one spelling.
std::string with_exact_numbers(std::string_view text, int depth = 0) {
  if (const auto number = exact_number(text)) return *number;
  const std::vector<std::string_view> parts = split_at_commas(text);
  const bool is_bracketed =
      text.size() > 2 && (text.front() == '(' || text.front() == '[') && (text.back() == ')' || text.back() == ']');
  if (depth > kMaxDepth || (parts.size() == 1 && !is_bracketed)) return std::string(text);
  if (parts.size() == 1)
    return text.front() + with_exact_numbers(text.substr(1, text.size() - 2), depth + 1) + text.back();
  std::string out;
  for (const std::string_view part : parts) out += (out.empty() ? "" : ",") + with_exact_numbers(part, depth + 1);
  return out;
}

}  // namespace

std::optional<std::string> last_boxed(std::string_view text) {
  size_t from = text.size();
  for (int i = 0; i < kMaxBoxes; ++i) {
    const size_t begin = text.substr(0, from).rfind("box");
    if (begin == std::string_view::npos) return std::nullopt;
    from = begin;
    const bool is_boxed = begin >= 1 && text[begin - 1] == '\\' && text.substr(begin).starts_with("boxed");
    const bool is_fbox = begin >= 2 && text[begin - 1] == 'f' && text[begin - 2] == '\\';
    if (!is_boxed && !is_fbox) continue;
    size_t open = begin + (is_boxed ? 5 : 3);
    while (open < text.size() && is_space(text[open])) ++open;
    if (open >= text.size() || text[open] != '{') continue;
    const size_t end = closing_brace(text, open);
    if (end == std::string_view::npos) continue;
    const std::string_view inner = trimmed(text.substr(open + 1, end - open - 1));
    if (inner.empty()) return std::nullopt;
    return std::string(inner);
  }
  return std::nullopt;
}

std::string normalise_maths(std::string_view answer) {
  if (answer.size() > kMaxAnswerBytes) return std::string(trimmed(answer));
  answer = trimmed(answer);
  std::string text = without_layout(answer.substr(0, unit_begin(answer)));
  remove_all(text, "°");
  text = without_thousands_commas(trimmed(text));
  std::erase_if(text, is_space);
  while (!text.empty() && std::string_view(".,;:!?").find(text.back()) != std::string_view::npos) text.pop_back();
  text = with_exact_numbers(with_braces(without_assignment(text)));
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

}  // namespace retort
