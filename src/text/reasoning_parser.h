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
  // starts_inside: the prompt already ends with <think>.
  explicit ReasoningParser(bool starts_inside) : inside_(starts_inside) {}
  ReasoningPiece push(std::string_view text);
  ReasoningPiece finish();
  bool inside() const { return inside_; }

 private:
  bool inside_;
  bool ended_ = false;        // </think> was seen: later tags are content
  bool at_start_ = true;      // nothing but white space so far: <think> may still open
  bool trim_ = false;         // drop the line breaks that follow a tag
  std::string held_;
};

}  // namespace retort
