// Splits streamed text at <think> … </think> into reasoning and content. Tags may be cut anywhere by token borders.
#pragma once

#include <string>
#include <string_view>

namespace retort {

struct ReasoningPiece {
  std::string reasoning;
  std::string content;
};

class ReasoningParser {
 public:
  // starts_inside: the prompt already ends with <think>. A second one at the very beginning is taken as the same.
  explicit ReasoningParser(bool starts_inside) : inside_(starts_inside), trim_(starts_inside) {}
  ReasoningPiece push(std::string_view text);
  ReasoningPiece finish();
  bool inside() const { return inside_; }

 private:
  bool open();  // decides whether <think> opens the text; false while it may
  void trim();

  bool inside_;
  bool at_start_ = true;  // nothing but white space so far: <think> may still open; later tags are text
  bool trim_;             // drop the line breaks that follow a tag
  std::string held_;
};

}  // namespace retort
