#include "text/tools/json_scanner.h"

#include <algorithm>

namespace retort {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Whether `word` is what JSON calls a number.
bool is_number(std::string_view word) {
  size_t at = word.starts_with('-') ? 1 : 0;
  const auto digits = [&] {
    const size_t begin = at;
    while (at < word.size() && is_digit(word[at])) ++at;
    return at - begin;
  };
  const bool begins_with_zero = at < word.size() && word[at] == '0';
  const size_t whole = digits();
  if (whole == 0 || (begins_with_zero && whole > 1)) return false;
  if (at < word.size() && word[at] == '.') {
    ++at;
    if (digits() == 0) return false;
  }
  if (at < word.size() && (word[at] == 'e' || word[at] == 'E')) {
    ++at;
    if (at < word.size() && (word[at] == '+' || word[at] == '-')) ++at;
    if (digits() == 0) return false;
  }
  return at == word.size();
}

bool is_word(std::string_view word) { return word == "true" || word == "false" || word == "null" || is_number(word); }

}  // namespace

JsonScanner::State JsonScanner::scan(std::string_view text) {
  while (at_ < text.size()) {
    if (!take(text[at_])) return State::kInvalid;
    ++at_;
    if (expect_ == Expect::kNothing) return State::kComplete;
  }
  return State::kMore;
}

bool JsonScanner::take(char c) {
  if (expect_ == Expect::kString || expect_ == Expect::kEscape) return take_string(c);
  if (expect_ == Expect::kWord) return take_word(c);
  if (is_space(c)) return !open_.empty();
  switch (expect_) {
    case Expect::kValueOrEnd:
      return c == ']' ? close(c) : begin_value(c);
    case Expect::kValue:
      return begin_value(c);
    case Expect::kKeyOrEnd:
      if (c == '}') return close(c);
      [[fallthrough]];
    case Expect::kKey:
      is_key_ = true;
      expect_ = Expect::kString;
      return c == '"';
    case Expect::kColon:
      expect_ = Expect::kValue;
      return c == ':';
    default:
      if (c != ',') return close(c);
      expect_ = open_.back() == '{' ? Expect::kKey : Expect::kValue;
      return true;
  }
}

bool JsonScanner::begin_value(char c) {
  if (open_.empty() && c != '{') return false;
  if (c == '{' || c == '[') {
    open_.push_back(c);
    expect_ = c == '{' ? Expect::kKeyOrEnd : Expect::kValueOrEnd;
    return open_.size() <= kMaxDepth;
  }
  if (c == '"') {
    is_key_ = false;
    expect_ = Expect::kString;
    return true;
  }
  word_ = c;
  expect_ = Expect::kWord;
  return c == '-' || is_digit(c) || c == 't' || c == 'f' || c == 'n';
}

bool JsonScanner::take_string(char c) {
  if (num_hex_ > 0) {
    --num_hex_;
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  }
  if (expect_ == Expect::kEscape) {
    expect_ = Expect::kString;
    if (c == 'u') num_hex_ = 4;
    return std::string_view("\"\\/bfnrtu").find(c) != std::string_view::npos;
  }
  if (c == '\\') {
    expect_ = Expect::kEscape;
  } else if (c == '"') {
    if (is_key_)
      expect_ = Expect::kColon;
    else
      end_value();
  }
  return true;
}

bool JsonScanner::take_word(char c) {
  if (c != ',' && c != '}' && c != ']' && !is_space(c)) {
    constexpr size_t kLongest = 400;  // more digits than any number needs
    word_ += c;
    return word_.size() <= kLongest && c != '"' && c != '<' && c != '{';
  }
  if (!is_word(word_)) return false;
  end_value();
  return is_space(c) || take(c);
}

bool JsonScanner::close(char c) {
  if (open_.empty() || c != (open_.back() == '{' ? '}' : ']')) return false;
  open_.pop_back();
  end_value();
  return true;
}

void JsonScanner::end_value() { expect_ = open_.empty() ? Expect::kNothing : Expect::kCommaOrEnd; }

}  // namespace retort
