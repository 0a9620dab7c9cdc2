#include "engine/logprobs.h"

#include <algorithm>

#include "engine/row_math.h"

namespace retort {

// A row without a maximum has no distribution; its log-probabilities are NaN, and the sampler refuses it.
Logprobs::Logprobs(std::span<const float> logits, std::span<float> scratch) : logits_(logits) {
  const auto max = row_max(logits);
  log_sum_exp_ = max ? row_log_sum_exp(logits, max->value, scratch) : std::numeric_limits<double>::quiet_NaN();
}

TokenLogprob Logprobs::of(TokenId id) const {
  const float logit = logits_[id];
  int32_t num_before = 0;
  for (float other : logits_) num_before += other > logit;
  for (float other : logits_.first(id)) num_before += other == logit;
  return {id, value(logit), num_before + 1};
}

// A heap of the best n seen so far, the worst of them on top: most logits need one comparison.
std::vector<TokenLogprob> Logprobs::top(int n) const {
  const auto better = [&](TokenId a, TokenId b) { return logits_[a] != logits_[b] ? logits_[a] > logits_[b] : a < b; };
  std::vector<TokenId> best;
  for (TokenId id = 0; n > 0 && id < std::ssize(logits_); ++id) {
    if (std::ssize(best) == n) {
      if (!better(id, best.front())) continue;
      std::ranges::pop_heap(best, better);
      best.back() = id;
    } else {
      best.push_back(id);
    }
    std::ranges::push_heap(best, better);
  }
  std::ranges::sort_heap(best, better);
  std::vector<TokenLogprob> out;
  for (TokenId id : best) out.push_back({id, value(logits_[id]), static_cast<int>(out.size()) + 1});
  return out;
}

std::vector<TokenLogprob> Logprobs::of_prompt_token(TokenId id, int n) const {
  std::vector<TokenLogprob> out = {of(id)};
  const auto best = top(n);
  out.insert(out.end(), best.begin(), best.end());
  return out;
}

}  // namespace retort
