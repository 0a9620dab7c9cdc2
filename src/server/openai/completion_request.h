// The body of POST /v1/completions.
#pragma once

#include <variant>

#include "server/openai/generate_request.h"

namespace retort::openai {

using RawPrompt = std::variant<std::string, std::vector<TokenId>>;

struct CompletionRequest : GenerateRequest {
  std::vector<RawPrompt> prompts;
  std::optional<int> logprobs;  // 0: the sampled token's only
};

const FieldTable<CompletionRequest>& completion_table();
ApiResult<CompletionRequest> parse_completion_request(const Json& body);

inline constexpr size_t kMaxPrompts = 1024;

// A string, a list of strings, token ids, or a list of lists of token ids.
ApiResult<std::vector<RawPrompt>> read_prompts(const Json& value, std::string_view name = "prompt");

}  // namespace retort::openai
