// POST /tokenize and /detokenize, as vLLM has them.
#include "server/openai/chat_request.h"
#include "server/openai/endpoints.h"
#include "server/openai/prompt.h"
#include "server/openai/request_template.h"
#include "server/openai/tools.h"
#include "server/prepare.h"

namespace retort::openai {
namespace {

struct TokenizeRequest {
  std::string model;
  std::optional<std::string> prompt;
  Json messages;
  std::optional<bool> add_special_tokens, add_generation_prompt;
  bool continue_final_message = false, return_token_strs = false;
  Json chat_template_kwargs = Json::object();
  std::string chat_template;
  ToolUse tool_use;
};

const FieldTable<TokenizeRequest>& tokenize_table() {
  using R = TokenizeRequest;
  static const FieldTable<R> table({
      string_field("model", &R::model, "The served model's name."),
      {"prompt",
       {{"type", "string"}, {"description", "Text; or give messages."}},
       [](const Json& value, R& request) -> ApiStatus {
         RETORT_API_ASSIGN(request.prompt, read_string(value, "prompt"));
         return {};
       }},
      {"messages", described(list_schema(message_schema(), 1), "A conversation, rendered by the chat template."),
       [](const Json& value, R& request) -> ApiStatus {
         RETORT_API_ASSIGN(request.messages, normalise_messages(value));
         return {};
       }},
      bool_field("add_special_tokens", &R::add_special_tokens, nullptr,
                 "Add BOS. Default: true for text, false for messages."),
      bool_field("add_generation_prompt", &R::add_generation_prompt, true, "End where the assistant's turn begins."),
      bool_field("continue_final_message", &R::continue_final_message, false, "Leave the last message open."),
      bool_field("return_token_strs", &R::return_token_strs, false, "Each token's text as well."),
      {"chat_template_kwargs",
       {{"type", "object"}, {"description", "Variables for the chat template."}},
       [](const Json& value, R& request) -> ApiStatus {
         if (!value.is_object()) return expected("chat_template_kwargs", "an object", value);
         request.chat_template_kwargs = value;
         return {};
       }},
      {"tools", tools_schema(), [](const Json& value, R& request) { return read_tools(value, request.tool_use); }},
      string_field("chat_template", &R::chat_template, kTemplateDoc),
  });
  return table;
}

struct DetokenizeRequest {
  std::string model;
  std::vector<TokenId> tokens;
};

const FieldTable<DetokenizeRequest>& detokenize_table() {
  using R = DetokenizeRequest;
  static const FieldTable<R> table = [] {
    Field<R> tokens = token_ids_field("tokens", &R::tokens, "Token ids.");
    tokens.required = true;
    return FieldTable<R>({string_field("model", &R::model, "The served model's name."), std::move(tokens)});
  }();
  return table;
}

ApiResult<std::vector<TokenId>> tokens_of_chat(const ServedModel& model, const TokenizeRequest& request) {
  ChatTemplateInput input{
      .messages = request.messages,
      .tools = {},
      .kwargs = request.chat_template_kwargs,
      .add_generation_prompt = request.add_generation_prompt.value_or(!request.continue_final_message),
      .continue_final_message = request.continue_final_message};
  offer_tools(model, request.tool_use, input);
  RETORT_API_ASSIGN(ChatPrompt prompt,
                    build_chat_prompt(model, std::move(input), request.add_special_tokens.value_or(false)));
  return std::move(prompt.tokens);
}

ApiResult<std::vector<TokenId>> tokens_of(const ServedModel& model, const TokenizeRequest& request) {
  if (request.prompt.has_value() == !request.messages.is_null())
    return refuse(400, "expected either prompt or messages", "prompt");
  if (request.prompt) return encode_raw_prompt(model, *request.prompt, request.add_special_tokens.value_or(true));
  if (request.chat_template.empty()) return tokens_of_chat(model, request);
  RETORT_API_ASSIGN(const OwnTemplate own, use_template(model, request.chat_template));
  return tokens_of_chat(own.model, request);
}

ApiResult<http::Response> answer_tokenize(const ServedModel& model, const Json& body) {
  TokenizeRequest request;
  RETORT_API_TRY(tokenize_table().apply(body, request));
  RETORT_API_TRY(check_model_name(model, request.model));
  RETORT_API_ASSIGN(const std::vector<TokenId> tokens, tokens_of(model, request));
  Json strings;
  if (request.return_token_strs) {
    strings = Json::array();
    for (const TokenId id : tokens) strings.push_back(model.tokenizer->decode({&id, 1}, false));
  }
  return http::json_response({{"count", tokens.size()},
                              {"max_model_len", model.max_model_len},
                              {"tokens", tokens},
                              {"token_strs", std::move(strings)}});
}

ApiResult<http::Response> answer_detokenize(const ServedModel& model, const Json& body) {
  DetokenizeRequest request;
  RETORT_API_TRY(detokenize_table().apply(body, request));
  RETORT_API_TRY(check_model_name(model, request.model));
  for (const TokenId id : request.tokens)
    if (id >= model.tokenizer->vocab_size())
      return expected("tokens", fmt::format("token ids below {}", model.tokenizer->vocab_size()), id);
  return http::json_response(Json::object({{"prompt", model.tokenizer->decode(request.tokens, false)}}));
}

}  // namespace

boost::asio::awaitable<void> tokenize(ApiContext& api, http::Exchange& exchange) {
  const auto model = api.loaded_model();
  std::optional<http::Response> response = co_await prepare_request(api, exchange, model, answer_tokenize);
  if (response) co_await exchange.respond(std::move(*response));
}

boost::asio::awaitable<void> detokenize(ApiContext& api, http::Exchange& exchange) {
  const auto model = api.loaded_model();
  std::optional<http::Response> response = co_await prepare_request(api, exchange, model, answer_detokenize);
  if (response) co_await exchange.respond(std::move(*response));
}

Json tokenize_schema() { return tokenize_table().schema(); }
Json detokenize_schema() { return detokenize_table().schema(); }

}  // namespace retort::openai
