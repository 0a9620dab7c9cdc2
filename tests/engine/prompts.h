// Prompts for tests that care only where one parts from another.
#pragma once

#include <cstdint>
#include <vector>

#include "text/tokenizer.h"

namespace retort::testing {

// Called with the number of tokens and the first; of different first tokens, prompts share no prefix.
struct Prompts {
  int32_t vocab_size;

  std::vector<TokenId> operator()(int num_tokens, TokenId first = 1) const {
    std::vector<TokenId> tokens(num_tokens);
    for (int i = 0; i < num_tokens; ++i) tokens[i] = (first + i * 7) % vocab_size;
    return tokens;
  }
};

}  // namespace retort::testing
