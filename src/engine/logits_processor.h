// What a request asks to be done to the logits before a token is chosen: allowed tokens, bad words, min_tokens, bias,
// penalties.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "engine/request.h"

namespace retort {

// Error kBadInput: a parameter out of its range, naming it, the range and what was given.
Status check_params(const SamplingParams& params, int32_t vocab_size);

// How often each token has occurred in one sequence. Empty unless the parameters have penalties.
class TokenCounts {
 public:
  struct Count {
    int num_generated = 0;
    bool in_prompt = false;
  };
  TokenCounts() = default;
  TokenCounts(const SamplingParams& params, std::span<const TokenId> prompt);
  void add_generated(TokenId id) {
    if (enabled_) ++counts_[id].num_generated;
  }
  const std::unordered_map<TokenId, Count>& counts() const { return counts_; }

 private:
  bool enabled_ = false;
  std::unordered_map<TokenId, Count> counts_;
};

// All that the choice of one token depends on, but for the logits.
struct SampleInput {
  const SamplingParams& params;
  std::span<const TokenId> generated;
  const TokenCounts& counts;
  std::span<const TokenId> stop_tokens;  // not sampled before min_tokens
  uint64_t seed;
  int sample_idx;
  int64_t position;                        // of the token to be chosen, prompt included
  std::span<const uint32_t> allowed = {};  // by a constraint, as NextTokens has it; empty: everything
};

// In vLLM's order (v1/sample/sampler.py): allowed ids, bad words, min_tokens, bias, repetition, frequency and presence
// penalty; last the constraint, beside which the first three do not count. Returns `logits` itself when nothing is
// asked for, else `scratch`, [vocab_size], with the result.
std::span<const float> process_logits(std::span<const float> logits, const SampleInput& input,
                                      std::vector<float>& scratch);

}  // namespace retort
