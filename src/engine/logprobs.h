// Log-probabilities of tokens under the unmodified distribution: the log-softmax of the logits as the model gave them.
#pragma once

#include <span>
#include <vector>

#include "engine/request.h"

namespace retort {

class Logprobs {
 public:
  // `logits` must outlive the object; `scratch` is as long.
  Logprobs(std::span<const float> logits, std::span<float> scratch);

  TokenLogprob of(TokenId id) const;           // rank 1 is the most likely; of equals the lower id comes first
  std::vector<TokenLogprob> top(int n) const;  // most likely first
  // What prompt_logprobs asks for: the token itself, then the n most likely.
  std::vector<TokenLogprob> of_prompt_token(TokenId id, int n) const;

 private:
  float value(float logit) const { return static_cast<float>(static_cast<double>(logit) - log_sum_exp_); }
  std::span<const float> logits_;
  double log_sum_exp_;
};

}  // namespace retort
