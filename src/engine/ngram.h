// Prompt-lookup speculation (A. Saxena, Prompt Lookup Decoding, 2023; vLLM's method "ngram"): what followed the last
// few tokens when they stood in this text before is guessed to follow again. The model checks all guesses in one step.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "text/tokenizer.h"

namespace retort {

constexpr int kMaxDrafts = 7;         // with the newest token one panel of 8 rows
constexpr int kMaxPromptLookup = 32;  // a text of one token over and over is compared so far at every place

// vLLM's names.
struct SpeculativeConfig {
  int num_speculative_tokens = kMaxDrafts;  // guessed at most in one step of a sequence; 0 or less: none
  int prompt_lookup_min = 2;                // so many tokens must have stood together before
  int prompt_lookup_max = 8;                // longer matches are no better than such
  bool operator==(const SpeculativeConfig&) const = default;
};

// The guesses of one sequence, and how good they have been.
class NgramSpeculator {
 public:
  // Guesses what follows `tokens`. The longest match of their end decides, the latest of equal ones.
  std::span<const TokenId> propose(std::span<const TokenId> tokens, const SpeculativeConfig& config);
  // The chance that a guess of the last proposal is right when those before it are: of matches as long as this one.
  double acceptance() const;
  // The next guess of the last proposal, in order, was compared with the token that was really sampled. The first one
  // is judged also when it was not computed, so that what does not pay now is found again when it does.
  void judge(bool right);

 private:
  std::array<double, 3> acceptance_{0.3, 0.4, 0.5};  // by length of the match: 1 and 2, 3, 4 and more
  size_t match_ = 0;
  std::vector<TokenId> drafts_;
};

}  // namespace retort
