#include "engine/repetition.h"

#include <algorithm>
#include <limits>

namespace retort {

RepetitionRule repetition_guard(int num_tokens) {
  constexpr int kRounds = 8;
  return {.max_pattern_size = std::min(num_tokens / kRounds, kMaxPatternSize),
          .min_count = kRounds,
          .min_tokens = num_tokens};
}

RepetitionDetector::RepetitionDetector(const RepetitionRule& rule) : min_size_(std::max(rule.min_pattern_size, 1)) {
  for (int size = min_size_; size <= rule.max_pattern_size; ++size) {
    const int64_t needed = std::max<int64_t>(int64_t{size} * rule.min_count, rule.min_tokens) - size;
    num_needed_.push_back(static_cast<int32_t>(std::min<int64_t>(needed, std::numeric_limits<int32_t>::max())));
  }
  num_equal_.resize(num_needed_.size());
}

bool RepetitionDetector::push(std::span<const TokenId> generated) {
  const int64_t newest = std::ssize(generated) - 1;
  const int64_t num_sizes = std::min(std::ssize(num_equal_), newest - min_size_ + 1);
  const TokenId token = generated[newest];
  int32_t is_found = 0;
  for (int64_t i = 0; i < num_sizes; ++i) {
    num_equal_[i] = generated[newest - min_size_ - i] == token ? num_equal_[i] + 1 : 0;
    is_found |= num_equal_[i] >= num_needed_[i] ? 1 : 0;
  }
  return is_found != 0;
}

}  // namespace retort
