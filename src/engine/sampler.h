// Chooses the next token from a row of logits as SamplingParams say. The order is vLLM's: what process_logits() does,
// then temperature, min_p, top_k, top_p; typical_p last, as Hugging Face has it. Holds scratch memory only: a choice
// depends on the logits and its SampleInput, never on other choices. Engine thread only.
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "engine/candidates.h"
#include "engine/logits_processor.h"
#include "engine/logprobs.h"
#include "engine/request.h"

namespace retort {

class Sampler {
 public:
  explicit Sampler(int32_t vocab_size) : weights_(vocab_size) {}

  // `logits`: [vocab_size]. Error kInternal: they are no distribution (NaN, or everything excluded).
  Result<SampledToken> sample(std::span<const float> logits, const SampleInput& input);
  std::vector<TokenLogprob> prompt_logprobs(std::span<const float> logits, TokenId id, int n) {
    return Logprobs(logits, weights_).of_prompt_token(id, n);
  }

 private:
  TokenId draw(std::span<const float> logits, float max, const SampleInput& input);
  void gather_candidates(const SamplingParams& params, double total);
  TokenId draw_from_weights(double unit) const;

  std::vector<float> processed_;  // [vocab_size] logits, when the request changes them
  std::vector<float> weights_;    // [vocab_size] proportional to probabilities, the likeliest token's is 1
  std::vector<TokenId> ids_;      // of those that may stay
  Candidates candidates_;
};

}  // namespace retort
