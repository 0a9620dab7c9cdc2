// What the engine is asked and what it answers: token ids in, token ids out. Text is the caller's business.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/repetition.h"
#include "engine/token_constraint.h"
#include "text/tokenizer.h"

namespace retort {

// vLLM's SamplingParams (vllm/sampling_params.py), the same names and meanings.
struct SamplingParams {
  float temperature = 1.0f;  // 0: greedy, exact argmax
  float top_p = 1.0f;
  int top_k = 0;  // 0: all
  float min_p = 0.0f;
  float typical_p = 1.0f;
  float frequency_penalty = 0.0f;  // OpenAI's two penalties count generated tokens
  float presence_penalty = 0.0f;
  float repetition_penalty = 1.0f;  // counts prompt and generated tokens
  std::map<TokenId, float> logit_bias = {};
  std::optional<uint64_t> seed = {};  // none: the engine draws one
  int max_tokens = 16;                // 0: the prompt is only computed (and scored)
  int min_tokens = 0;                 // stop tokens are not sampled before
  std::vector<TokenId> stop_token_ids = {};
  bool ignore_eos = false;
  std::vector<TokenId> allowed_token_ids = {};  // empty: all
  std::vector<std::vector<TokenId>> bad_words = {};
  std::optional<int> logprobs = {};  // 0: the sampled token's only; n: also the n most likely
  std::optional<int> prompt_logprobs = {};
  // Instead of the engine's own guard, which stands back with ignore_eos. Not before min_tokens.
  std::optional<RepetitionRule> repetition = {};
};

struct TokenLogprob {
  TokenId id;
  float logprob;
  int rank;  // 1: most likely; of equally likely tokens the lower id comes first
};

struct SampledToken {
  TokenId id;
  std::optional<TokenLogprob> logprob;     // of the sampled token; from the unmodified distribution, as vLLM defines it
  std::vector<TokenLogprob> top_logprobs;  // most likely first
};

// What of a prompt's final hidden states becomes its embedding.
enum class Pooling { kLast, kMean };

// kRepetition: the answer went round in a circle.
enum class FinishReason { kStop, kLength, kAbort, kError, kRepetition };

using Clock = std::chrono::steady_clock;

// News of one sequence: a token, its end, or both. They arrive in order; the last has `finish`.
struct TokenEvent {
  int sample_idx = 0;                     // which of the request's n samples
  std::vector<SampledToken> tokens = {};  // may be empty in the last event
  std::optional<FinishReason> finish = {};
  std::optional<TokenId> stop_token = {};  // with kStop: the stop token that ended it; it is not among `tokens`
  std::string error = {};                  // with kError, and with kAbort when a deadline or a shutdown is the reason
  ErrorKind error_kind = ErrorKind::kInternal;  // with kError; kTooLarge: following the constraint went over its limits
  int num_cached_tokens = 0;                    // prompt tokens that were not computed, known from the first event on
  Clock::time_point time = {};                  // when the engine told it
  Clock::time_point scheduled = {};             // when the request's first step was planned; epoch: it never ran
  int num_preemptions = 0;                      // with `finish`: of this sample
  std::vector<float> embedding = {};  // with pooling, in the only event: [hidden_size], as it comes, not normalised
  // In the first event when asked for: [i] is of prompt token i, itself first, then the n most likely; [0] is empty.
  std::vector<std::vector<TokenLogprob>> prompt_logprobs = {};
};

using RequestId = uint64_t;

struct EngineRequest {
  std::vector<TokenId> prompt = {};  // not empty
  SamplingParams params = {};
  int num_samples = 1;                  // n: share the prompt's KV
  std::optional<Pooling> pooling = {};  // the prompt's embedding is wanted, and max_tokens is 0
  int priority = 0;                     // lower is sooner (vLLM)
  std::optional<Clock::time_point> deadline = {};
  // Of the answer, in its first state, cloned for each sample. Its answers get no drafts.
  std::shared_ptr<const TokenConstraint> constraint = {};
  std::string cache_salt = {};                    // prefix-cache entries are shared only between equal salts
  std::function<void(TokenEvent)> on_event = {};  // called from the engine thread; must not block and must not throw
};

}  // namespace retort
