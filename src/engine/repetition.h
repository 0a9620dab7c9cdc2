// Finds out that an answer goes round in a circle: that its last tokens are one pattern over and over. Engine thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "text/tokenizer.h"

namespace retort {

inline constexpr int kMaxPatternSize = 4096;

// A pattern of min_pattern_size to max_pattern_size tokens that stands at the end min_count times in a row or more
// (vLLM's RepetitionDetectionParams, sampling_params.py), and over min_tokens tokens or more.
struct RepetitionRule {
  int min_pattern_size = 1, max_pattern_size = 0;  // max 0: nothing is a repetition
  int min_count = 2;
  int min_tokens = 0;
};

// For answers whose request says nothing: a loop of `num_tokens` tokens that has gone round 8 times. 0: no rule. What
// people ask for stays below: a line a hundred times, a table with equal rows, an array of a thousand zeros.
RepetitionRule repetition_guard(int num_tokens);

// For each pattern size p it is kept how many tokens at the end equal the one p before them, so a token costs one
// comparison a size (256 sizes: 0.5 µs), however long the answer is.
class RepetitionDetector {
 public:
  explicit RepetitionDetector(const RepetitionRule& rule);

  // Called once after each token with all tokens of the answer so far. True: they end in a repetition.
  bool push(std::span<const TokenId> generated);

 private:
  int min_size_;
  std::vector<int32_t> num_equal_;  // [size - min_size_]
  std::vector<int32_t> num_needed_;
};

}  // namespace retort
