#include "server/anthropic/request.h"

#include "server/anthropic/tools.h"

namespace retort::anthropic {
namespace {

constexpr size_t kMaxStops = 16;

using R = Request;

ApiStatus read_stop_sequences(const Json& value, R& request) {
  RETORT_API_ASSIGN(request.stop, read_strings(value, "stop_sequences", kMaxStops));
  std::erase(request.stop, "");
  return {};
}

struct Thinking {
  std::string type, display = "summarized";
  std::optional<int> budget_tokens = {};
};

const FieldTable<Thinking>& thinking_table() {
  static const FieldTable<Thinking> table = [] {
    Field<Thinking> type = string_field("type", &Thinking::type, "");
    type.schema = words_schema({"enabled", "adaptive", "disabled"});
    type.required = true;
    Field<Thinking> display = string_field("display", &Thinking::display, "");
    display.schema = words_schema({"summarized", "omitted"});
    return FieldTable<Thinking>({std::move(type), std::move(display),
                                 int_field("budget_tokens", &Thinking::budget_tokens, {0, kMaxInt}, nullptr, "")});
  }();
  return table;
}

ApiStatus read_thinking(const Json& value, R& request) {
  Thinking thinking;
  RETORT_API_TRY(thinking_table().apply(value, thinking, "thinking."));
  if (thinking.type != "enabled" && thinking.type != "adaptive" && thinking.type != "disabled")
    return expected("thinking.type", "enabled, adaptive or disabled", thinking.type);
  if (thinking.display != "summarized" && thinking.display != "omitted")
    return expected("thinking.display", "summarized or omitted", thinking.display);
  if (thinking.type == "enabled" && !thinking.budget_tokens)
    return refuse(400, "thinking.budget_tokens: required where type is enabled, and missing", "thinking.budget_tokens");
  if (thinking.type != "enabled" && thinking.budget_tokens)
    return refuse(400, fmt::format("thinking.budget_tokens: not with the type {}", thinking.type),
                  "thinking.budget_tokens");
  if (thinking.type != "adaptive") request.enables_thinking = thinking.type == "enabled";
  request.include_reasoning = thinking.type != "disabled";
  request.thinking_token_budget = thinking.budget_tokens;
  request.omits_thinking = thinking.display == "omitted";
  return {};
}

ApiStatus keep_system(const Json& value, R& request) {
  request.system = value;
  return {};
}

ApiStatus keep_conversation(const Json& value, R& request) {
  request.conversation = value;
  return {};
}

Json conversation_schema() {
  return described(list_schema(message_schema(), 1),
                   "The conversation: roles user, assistant, system; content a string or blocks. One that ends with "
                   "the assistant's turn is gone on with.");
}

// The package's tool runner asks for a thread, and goes on with whole conversations where it is told by this code that
// there are none.
ApiStatus refuse_thread(const Json&, R&) {
  return refuse(400, "thread: not supported; send the whole conversation", "thread", "thread_unsupported_request");
}

std::vector<Field<R>> prompt_fields() {
  Field<R> model = string_field("model", &R::model, "The served model's name.");
  model.required = true;
  return {
      std::move(model),
      {"messages", conversation_schema(), keep_conversation, true},
      {"system", described(content_schema(), "A string, or blocks of text."), keep_system},
      {"thinking", described(thinking_table().schema(), "Whether to think first, how much, and what to show of it."),
       read_thinking},
      openai::template_kwargs_field(),
      ignored_field<R>("cache_control", "The prefix cache needs none."),
      refused_field<R>("speed", {"standard"}, "not supported"),
      {"thread", described({{"enum", Json::array()}}, "Not supported: send the whole conversation."), refuse_thread},
  };
}

std::vector<Field<R>> answer_fields() {
  Field<R> max_tokens = int_field("max_tokens", &R::max_tokens, {1, kMaxInt}, nullptr,
                                  "At most so many generated tokens. Never more than the context leaves.");
  max_tokens.required = true;
  return {
      std::move(max_tokens),
      bool_field("stream", &R::stream, false, "Server-sent events instead of one body."),
      {"stop_sequences",
       described(list_schema(text_schema(), 0, kMaxStops),
                 "Up to 16 strings that end the text; empty ones are taken as none."),
       read_stop_sequences},
      ignored_field<R>("metadata", "For the caller's own records."),
      ignored_field<R>("service_tier", "There is one tier."),
      refused_field<R>("container", {}, "not supported"),
      refused_field<R>("mcp_servers", {Json::array()}, "not supported"),
      refused_field<R>("context_management", {}, "not supported"),
      refused_field<R>("diagnostics", {}, "not supported"),
      refused_field<R>("inference_geo", {}, "not supported"),
  };
}

ApiResult<R> parse(const FieldTable<R>& table, const Json& body) {
  R request;
  RETORT_API_TRY(table.apply(body, request));
  const auto& budget = request.thinking_token_budget;
  if (budget && request.max_tokens && *budget >= *request.max_tokens)
    return expected("thinking.budget_tokens", fmt::format("less than max_tokens ({})", *request.max_tokens), *budget);
  RETORT_API_ASSIGN(request.messages, to_chat_messages(request.system, request.conversation));
  RETORT_API_TRY(check_tool_use(request.tool_use, "tool_choice"));
  Json& kwargs = request.chat_template_kwargs;
  if (request.enables_thinking && !kwargs.contains("enable_thinking"))
    kwargs["enable_thinking"] = *request.enables_thinking;
  openai::apply_reasoning_effort(request);
  RETORT_API_TRY(check_generate_request(request));
  const Json& last = request.messages.back();
  request.continue_final_message = last["role"] == "assistant" && !last.contains("tool_calls");
  return request;
}

}  // namespace

const FieldTable<R>& messages_table() {
  static const FieldTable<R> table =
      FieldTable<R>(prompt_fields()).with(tool_fields()).with(answer_fields()).with(openai::engine_fields());
  return table;
}

const FieldTable<R>& count_table() {
  static const FieldTable<R> table = FieldTable<R>(prompt_fields()).with(tool_fields());
  return table;
}

ApiResult<R> parse_messages(const Json& body) { return parse(messages_table(), body); }
ApiResult<R> parse_count(const Json& body) { return parse(count_table(), body); }

}  // namespace retort::anthropic
