// Prompt-lookup speculation (A. Saxena, Prompt Lookup Decoding, 2023; vLLM's method "ngram"): what followed the last
// few tokens when they stood in this text before is guessed to follow again. The model checks all guesses in one step.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "text/tokenizer.h"

namespace retort {

constexpr int kMaxDrafts = 7;  // with the newest token one panel of 8 rows

// The guesses of one sequence, and how good they have been.
class NgramSpeculator {
 public:
  // Guesses at most `max_drafts` tokens to follow `tokens`; none when their last two tokens have not stood together
  // before. The longest match decides, the latest of equal ones.
  std::span<const TokenId> propose(std::span<const TokenId> tokens, int max_drafts);
  // The chance that a guess of the last proposal is right when those before it are: of matches as long as this one.
  double acceptance() const;
  // The next guess of the last proposal, in order, was compared with the token that was really sampled. The first one
  // is judged also when it was not computed, so that what does not pay now is found again when it does.
  void judge(bool right);

 private:
  std::array<double, 3> acceptance_{0.3, 0.4, 0.5};  // by length of the match: 2, 3, 4 and more
  size_t match_ = 0;
  std::vector<TokenId> drafts_;
};

}  // namespace retort
