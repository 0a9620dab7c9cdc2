#include "text/reasoning_parser.h"

#include <algorithm>
#include <utility>

namespace retort {
namespace {

constexpr std::string_view kOpen = "<think>";
constexpr std::string_view kClose = "</think>";

// The longest end of `text` that is the beginning of the closing tag, short of all of it.
size_t begun_close(std::string_view text) {
  for (size_t length = std::min(text.size(), kClose.size() - 1); length > 0; --length)
    if (text.ends_with(kClose.substr(0, length))) return length;
  return 0;
}

}  // namespace

bool ReasoningParser::open() {
  const size_t first = held_.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return false;
  const std::string_view rest = std::string_view(held_).substr(first);
  if (rest.starts_with(kOpen)) {
    held_.erase(0, first + kOpen.size());
    inside_ = true;
    trim_ = true;
  } else if (kOpen.starts_with(rest)) {
    return false;
  }
  at_start_ = false;
  return true;
}

ReasoningPiece ReasoningParser::push(std::string_view text) {
  held_ += text;
  ReasoningPiece piece;
  if (at_start_ && !open()) return piece;
  if (inside_) {
    trim();
    const size_t close = held_.find(kClose);
    if (close == std::string::npos) {
      const size_t shown = held_.size() - begun_close(held_);
      piece.reasoning = held_.substr(0, shown);
      held_.erase(0, shown);
      return piece;
    }
    piece.reasoning = held_.substr(0, close);
    held_.erase(0, close + kClose.size());
    inside_ = false;
    trim_ = true;
  }
  trim();
  piece.content = std::exchange(held_, {});
  return piece;
}

ReasoningPiece ReasoningParser::finish() {
  std::string rest = std::exchange(held_, {});
  return inside_ ? ReasoningPiece{std::move(rest), {}} : ReasoningPiece{{}, std::move(rest)};
}

void ReasoningParser::trim() {
  if (!trim_) return;
  held_.erase(0, std::min(held_.find_first_not_of("\r\n"), held_.size()));
  trim_ = held_.empty();
}

}  // namespace retort
