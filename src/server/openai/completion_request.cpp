#include "server/openai/completion_request.h"

namespace retort::openai {
namespace {

constexpr int kMaxLogprobs = 20;
constexpr int kDefaultMaxTokens = 16;  // OpenAI's and vLLM's

tl::unexpected<ApiError> expected_max_tokens(const Json& got) {
  return expected("max_tokens", fmt::format("an integer from 1 to {}, or 0 with echo", kMaxInt), got);
}

ApiStatus read_max_tokens(const Json& value, CompletionRequest& request) {
  const auto number = read_int(value, "max_tokens", {0, kMaxInt});
  if (!number) return expected_max_tokens(value);
  request.max_tokens = static_cast<int>(*number);
  return {};
}

FieldTable<CompletionRequest> make_table() {
  using R = CompletionRequest;
  const Json schema = described(prompts_schema(kMaxPrompts),
                                "A string, a list of strings, a list of token ids, or a list of such lists.");
  std::vector<Field<R>> fields = {
      {"prompt", schema,
       [](const Json& value, R& request) -> ApiStatus {
         RETORT_API_ASSIGN(request.prompts, read_prompts(value));
         return {};
       },
       true},
      {"max_tokens",
       {{"type", "integer"},
        {"minimum", 0},
        {"maximum", kMaxInt},
        {"default", kDefaultMaxTokens},
        {"description", "At most so many generated tokens, never more than the context leaves; 0 needs echo."}},
       read_max_tokens},
      int_field("logprobs", &R::logprobs, {0, kMaxLogprobs}, nullptr,
                "Log-probabilities of the tokens and of so many most likely ones."),
      refused_field<R>("thinking_token_budget", {-1}, "only for chats"),
  };
  return FieldTable<R>(std::move(fields)).with(generate_fields());
}

}  // namespace

ApiResult<std::vector<RawPrompt>> read_prompts(const Json& value, std::string_view name) {
  constexpr std::string_view kForms = "a string, a list of strings, a list of token ids or a list of such lists";
  std::vector<RawPrompt> prompts;
  if (value.is_string()) {
    prompts.emplace_back(value.get<std::string>());
    return prompts;
  }
  if (!value.is_array() || value.empty()) return expected(name, kForms, value);
  if (value[0].is_number()) {
    RETORT_API_ASSIGN(auto ids, read_token_ids(value, name));
    prompts.emplace_back(std::move(ids));
    return prompts;
  }
  if (value.size() > kMaxPrompts)
    return expected(name, fmt::format("at most {} prompts", kMaxPrompts), Json(value.size()));
  for (size_t i = 0; i < value.size(); ++i) {
    const std::string path = fmt::format("{}[{}]", name, i);
    if (value[i].is_string()) {
      prompts.emplace_back(value[i].get<std::string>());
    } else if (value[i].is_array()) {
      RETORT_API_ASSIGN(auto ids, read_token_ids(value[i], path));
      prompts.emplace_back(std::move(ids));
    } else {
      return expected(path, "a string or a list of token ids", value[i]);
    }
  }
  return prompts;
}

const FieldTable<CompletionRequest>& completion_table() {
  static const FieldTable<CompletionRequest> table = make_table();
  return table;
}

ApiResult<CompletionRequest> parse_completion_request(const Json& body) {
  CompletionRequest request;
  RETORT_API_TRY(completion_table().apply(body, request));
  if (!request.max_tokens) request.max_tokens = std::max(kDefaultMaxTokens, request.min_tokens);
  if (request.max_tokens == 0 && !request.echo) return expected_max_tokens(0);
  RETORT_API_TRY(check_generate_request(request));
  if (request.consensus && request.prompts.size() != 1)
    return refuse(400, fmt::format("consensus: expected one prompt, got {}", request.prompts.size()), "consensus");
  return request;
}

}  // namespace retort::openai
