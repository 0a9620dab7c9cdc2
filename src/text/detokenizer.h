// Tokens to text as they come: bytes that are not yet a whole UTF-8 character are held back.
#pragma once

#include <string>

#include "text/tokenizer.h"

namespace retort {

class Detokenizer {
 public:
  explicit Detokenizer(const Tokenizer& tokenizer, bool skip_special = true)
      : tokenizer_(&tokenizer), skip_special_(skip_special) {}
  // The text that is complete now; always valid UTF-8, possibly empty. Invalid bytes become U+FFFD once they can no
  // longer be completed.
  std::string push(TokenId id);
  // What was held back, replaced by U+FFFD.
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  std::string held_;
};

}  // namespace retort
