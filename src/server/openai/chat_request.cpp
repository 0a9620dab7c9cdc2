#include "server/openai/chat_request.h"

#include "server/openai/request_template.h"

#include "server/openai/tools.h"

namespace retort::openai {
namespace {

constexpr int kMaxTopLogprobs = 20;
constexpr int kUnbound = -1;

// How many tokens of thinking an effort is worth.
struct Effort {
  const char* name;
  int budget;
};
constexpr Effort kEfforts[] = {{"none", 0},        {"minimal", 128},    {"low", 512},     {"medium", 2048},
                               {"high", kUnbound}, {"xhigh", kUnbound}, {"max", kUnbound}};

constexpr const char* kReservedVariables[] = {"messages", "tools", "add_generation_prompt"};

ApiStatus read_messages(const Json& value, ChatRequest& request) {
  RETORT_API_ASSIGN(request.messages, normalise_messages(value));
  return {};
}

ApiStatus read_template_kwargs(const Json& value, ChatRequest& request) {
  if (!value.is_object()) return expected("chat_template_kwargs", "an object", value);
  for (const char* reserved : kReservedVariables)
    if (value.contains(reserved))
      return refuse(400, fmt::format("chat_template_kwargs: '{}' has a field of its own", reserved),
                    "chat_template_kwargs");
  request.chat_template_kwargs = value;
  return {};
}

Json messages_schema() {
  return described(
      list_schema(message_schema(), 1),
      "The conversation. Roles: system (or developer), user, assistant, tool; content: a string or text parts.");
}

FieldTable<ChatRequest> make_table() {
  using R = ChatRequest;
  std::vector<Field<R>> fields = {
      {"messages", messages_schema(), read_messages, true},
      int_field("max_tokens", &R::max_tokens, {1, kMaxInt}, nullptr,
                "At most so many generated tokens. Never more than the context leaves."),
      int_field("max_completion_tokens", &R::max_completion_tokens, {1, kMaxInt}, nullptr, "Wins over max_tokens."),
      bool_field("logprobs", &R::logprobs, false, "Log-probabilities of the generated tokens."),
      int_field("top_logprobs", &R::top_logprobs, {0, kMaxTopLogprobs}, 0,
                "And of the most likely ones; needs logprobs."),
      bool_field("include_reasoning", &R::include_reasoning, true, "Send the reasoning beside the answer."),
      thinking_token_budget_field(),
      {"reasoning_effort",
       described(effort_schema(), "A budget of thinking: 0, 128, 512, 2048 tokens, and none for high, xhigh and max."),
       read_reasoning_effort},
      bool_field("add_generation_prompt", &R::add_generation_prompt, nullptr,
                 "End the prompt where the assistant's turn begins."),
      bool_field("continue_final_message", &R::continue_final_message, false,
                 "Go on with the last message instead of answering it."),
      template_kwargs_field(),
      string_field("chat_template", &R::chat_template, kTemplateDoc),
      refused_field<R>("functions", {Json::array()}, "deprecated and not supported; use tools"),
      refused_field<R>("function_call", {"none", "auto"}, "deprecated and not supported; use tools"),
      refused_field<R>("documents", {Json::array()}),
      refused_field<R>("audio", {}, "only text is supported"),
      refused_field<R>("modalities", {Json::array({"text"})}, "only text is supported"),
      refused_field<R>("verbosity", {"medium"}, "not supported"),
      refused_field<R>("web_search_options", {}, "not supported"),
      refused_field<R>("moderation", {}, "not supported"),
  };
  return FieldTable<R>(std::move(fields)).with(tool_fields()).with(generate_fields());
}

ApiStatus check_chat_request(ChatRequest& request) {
  if (request.top_logprobs > 0 && !request.logprobs)
    return refuse(400, "top_logprobs: only allowed when logprobs is true", "top_logprobs");
  if (request.continue_final_message && request.add_generation_prompt.value_or(false))
    return refuse(400, "continue_final_message: cannot be used together with add_generation_prompt",
                  "continue_final_message");
  if (request.continue_final_message && request.messages.back()["role"] == "tool")
    return refuse(400, "continue_final_message: the last message is a tool's", "continue_final_message");
  if (request.continue_final_message && request.messages.back().contains("tool_calls"))
    return refuse(400, "continue_final_message: the last message calls tools", "continue_final_message");
  RETORT_API_TRY(check_tool_use(request.tool_use, "tool_choice"));
  if (request.consensus && request.tool_use.are_offered())
    return refuse(400, "consensus: cannot be used together with tools", "consensus");
  apply_reasoning_effort(request);
  if (request.max_completion_tokens) request.max_tokens = request.max_completion_tokens;
  return check_generate_request(request);
}

}  // namespace

Field<ChatRequest> thinking_token_budget_field() {
  auto field = int_field("thinking_token_budget", &ChatRequest::thinking_token_budget, {kUnbound, kMaxInt}, kUnbound,
                         "After so many tokens of thinking </think> is written and the answer begins; -1: no bound. "
                         "Only for models that think.");
  field.apply = [read = std::move(field.apply)](const Json& value, ChatRequest& request) -> ApiStatus {
    RETORT_API_TRY(read(value, request));
    request.needs_thinking = request.thinking_token_budget != kUnbound;
    return {};
  };
  return field;
}

Field<ChatRequest> template_kwargs_field() {
  return {"chat_template_kwargs",
          described(template_kwargs_schema(), "Variables for the chat template, such as enable_thinking."),
          read_template_kwargs};
}

Json effort_schema() {
  Json names = Json::array();
  for (const Effort& effort : kEfforts) names.push_back(effort.name);
  return Json::object({{"enum", std::move(names)}});
}

Json template_kwargs_schema() {
  Json reserved = Json::object();
  for (const char* name : kReservedVariables) reserved[name] = false;
  return {{"type", "object"}, {"properties", std::move(reserved)}};
}

ApiStatus read_reasoning_effort(const Json& value, ChatRequest& request) {
  for (const Effort& effort : kEfforts)
    if (value == effort.name) {
      request.reasoning_effort = effort.name;
      return {};
    }
  return expected("reasoning_effort", "none, minimal, low, medium, high, xhigh or max", value);
}

void apply_reasoning_effort(ChatRequest& request) {
  for (const Effort& effort : kEfforts) {
    if (request.reasoning_effort != effort.name) continue;
    if (!request.thinking_token_budget) request.thinking_token_budget = effort.budget;
    Json& kwargs = request.chat_template_kwargs;
    if (!kwargs.contains("reasoning_effort")) kwargs["reasoning_effort"] = effort.name;
    if (effort.budget == 0 && !kwargs.contains("enable_thinking")) kwargs["enable_thinking"] = false;
  }
  if (request.thinking_token_budget == kUnbound) request.thinking_token_budget.reset();
}

const FieldTable<ChatRequest>& chat_table() {
  static const FieldTable<ChatRequest> table = make_table();
  return table;
}

ApiResult<ChatRequest> parse_chat_request(const Json& body) {
  ChatRequest request;
  RETORT_API_TRY(chat_table().apply(body, request));
  RETORT_API_TRY(check_chat_request(request));
  return request;
}

}  // namespace retort::openai
