#include "engine/ngram.h"

#include <algorithm>

namespace retort {
namespace {

constexpr double kMemory = 0.1;  // weight of the newest judgement

int64_t match_length(std::span<const TokenId> tokens, int64_t end, int64_t max) {
  const int64_t size = std::ssize(tokens);
  int64_t length = 0;
  while (length < std::min(max, end) && tokens[end - 1 - length] == tokens[size - 1 - length]) ++length;
  return length;
}

}  // namespace

std::span<const TokenId> NgramSpeculator::propose(std::span<const TokenId> tokens, const SpeculativeConfig& config) {
  drafts_.clear();
  int64_t best = config.prompt_lookup_min - 1, best_end = 0;
  for (int64_t end = std::ssize(tokens) - 1; end > best && best < config.prompt_lookup_max; --end) {
    if (tokens[end - 1] != tokens.back()) continue;
    if (const int64_t length = match_length(tokens, end, config.prompt_lookup_max); length > best) {
      best = length;
      best_end = end;
    }
  }
  if (best_end == 0) return {};
  match_ = static_cast<size_t>(std::clamp<int64_t>(best - 2, 0, std::ssize(acceptance_) - 1));
  const auto found = tokens.subspan(best_end);
  drafts_.assign(found.begin(),
                 found.begin() + std::min<int64_t>(std::ssize(found), std::max(config.num_speculative_tokens, 0)));
  return drafts_;
}

double NgramSpeculator::acceptance() const { return acceptance_[match_]; }

void NgramSpeculator::judge(bool right) {
  acceptance_[match_] += kMemory * ((right ? 1.0 : 0.0) - acceptance_[match_]);
}

}  // namespace retort
