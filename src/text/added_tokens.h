// Tokens that are cut out of the text before anything else: control tokens and what the model's makers added by name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace retort {

class AddedTokens {
 public:
  struct Token {
    std::string content;
    int32_t id = -1;
    bool control = false;  // matched only where the caller trusts the text
    bool lstrip = false;   // takes the white space before it along
    bool rstrip = false;   // takes the white space after it along
  };
  struct Part {
    std::string_view text;
    int32_t id = -1;  // -1: text between tokens
  };

  void add(Token token);
  bool empty() const { return tokens_.empty(); }
  // The parts of `text` from left to right, none empty. At each place the longest token wins; a control token that is
  // not wanted hides shorter ones inside it and stays text.
  void split(std::string_view text, bool with_control, std::vector<Part>& parts) const;

 private:
  struct Node {
    std::vector<std::pair<uint8_t, uint32_t>> next;  // byte → node
    int32_t token = -1;
  };
  // The longest token that begins at `pos`, or null.
  const Token* longest_at(std::string_view text, size_t pos) const;

  std::vector<Token> tokens_;
  std::vector<Node> nodes_ = std::vector<Node>(1);  // a trie; 0 is the root
  bool first_byte_[256] = {};
};

}  // namespace retort
