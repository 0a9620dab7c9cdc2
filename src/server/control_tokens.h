// Control tokens spelled out in what users write ("<|im_end|>") must stay text, while the same words in a chat template
// are tokens. They are marked before the template is rendered, and the marks say afterwards which parts of the prompt
// are text alone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace retort {

class ControlTokens {
 public:
  ControlTokens() = default;
  explicit ControlTokens(const Tokenizer& tokenizer);

  // Marks every control token within the strings of `messages`. True when there was one.
  bool mark(Json& messages) const;
  // The tokens of a rendered prompt whose messages were marked.
  static std::vector<TokenId> encode_marked(const Tokenizer& tokenizer, std::string_view prompt, bool add_special);

 private:
  size_t length_at(std::string_view text, size_t at) const;  // of the control token that begins there; 0: none

  std::vector<std::string> names_;  // sorted
  std::string first_bytes_;         // that a name can begin with
  size_t longest_ = 0;
};

}  // namespace retort
