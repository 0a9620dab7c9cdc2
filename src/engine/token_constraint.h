// What may come next in an answer, beyond what the model thinks likely: a grammar, a bound on thinking. The engine
// asks; what the rule is it does not know.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace retort {

struct NextTokens {
  std::vector<TokenId> forced = {};  // come next, whatever the model thinks of them
  bool is_complete = false;          // the answer ends after them
  // In place of a token by which the model would end an answer that may not end yet. Empty: it may.
  std::vector<TokenId> instead_of_end = {};
  bool is_last = false;  // from then on everything may follow: no need to ask again
  // Of what may follow them: bit id % 32 of word id / 32, where tokens beyond the last word may not. Empty: everything.
  std::vector<uint32_t> allowed = {};
};

// The state of one answer. Called by one thread at a time, not always the same.
class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;
  // In the same state, sharing nothing that moves.
  virtual Result<std::unique_ptr<TokenConstraint>> clone() const = 0;
  // `tokens`: what was sampled since the last call, none in the first; what was forced is known here already. May take
  // long: it runs beside the model. An error ends the answer; kTooLarge: the rule is too complex to follow.
  virtual Result<NextTokens> follow(std::span<const TokenId> tokens) = 0;
};

}  // namespace retort
