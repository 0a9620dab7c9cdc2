// Log-probabilities in the shapes of the chat and the completions API.
#pragma once

#include <vector>

#include "engine/request.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace retort::openai {

// {"content": [{token, logprob, bytes, top_logprobs}]}
Json chat_logprobs(const Tokenizer& tokenizer, const std::vector<SampledToken>& tokens);

// One position of a completion: of a generated token, or of a prompt token that is echoed.
struct CompletionLogprob {
  TokenId id;
  std::optional<float> logprob;  // none: the first of a prompt
  std::vector<TokenLogprob> top;
};
// {"text_offset", "token_logprobs", "tokens", "top_logprobs"}; `offset` is the text's length so far in characters and
// is moved on.
Json completion_logprobs(const Tokenizer& tokenizer, const std::vector<CompletionLogprob>& tokens, int64_t& offset);
std::vector<CompletionLogprob> of_generated(const std::vector<SampledToken>& tokens);
std::vector<CompletionLogprob> of_prompt(const std::vector<TokenId>& tokens,
                                         const std::vector<std::vector<TokenLogprob>>& logprobs);

// vLLM's: [null, {"id": {"logprob", "rank", "decoded_token"}}, …].
Json prompt_logprobs_json(const Tokenizer& tokenizer, const std::vector<TokenId>& tokens,
                          const std::vector<std::vector<TokenLogprob>>& logprobs);

Json token_ids(const std::vector<SampledToken>& tokens);

}  // namespace retort::openai
