#include "server/responses/request.h"

#include "server/responses/tools.h"

namespace retort::responses {
namespace {

constexpr int kMaxTopLogprobs = 20;
constexpr size_t kMaxMetadata = 16;
constexpr const char* kLogprobs = "message.output_text.logprobs";

using R = Request;

ApiStatus keep_input(const Json& value, R& request) {
  request.input = value;
  return {};
}

ApiStatus read_include(const Json& value, R& request) {
  RETORT_API_ASSIGN(const std::vector<std::string> names, read_strings(value, "include", kMaxMetadata));
  for (const std::string& name : names) {
    if (name != kLogprobs)
      return refuse(400, fmt::format("include: '{}' is not supported", name), "include", "unsupported_parameter");
    request.logprobs = true;
  }
  return {};
}

ApiStatus read_metadata(const Json& value, R& request) {
  const bool fits = value.is_object() && value.size() <= kMaxMetadata;
  if (!fits) return expected("metadata", fmt::format("an object of at most {} strings", kMaxMetadata), value);
  for (const auto& [key, text] : value.items())
    if (!text.is_string()) return expected(fmt::format("metadata.{}", key), "a string", text);
  request.metadata = value;
  return {};
}

Json metadata_schema() {
  return {{"type", "object"}, {"additionalProperties", text_schema()}, {"maxProperties", kMaxMetadata}};
}

std::vector<Field<R>> prompt_fields() {
  return {
      {"input",
       described(any_of({text_schema(), list_schema(item_schema(), 1)}),
                 "A string, or items: messages, reasoning, calls of functions and their outputs."),
       keep_input, true},
      string_field("model", &R::model, "The served model's name."),
      string_field("instructions", &R::instructions, "A system message before all others; not kept for later."),
      string_field("previous_response_id", &R::previous_response_id, "A stored response to go on with."),
      openai::template_kwargs_field(),
      refused_field<R>("conversation", {}, "not supported; use previous_response_id"),
      refused_field<R>("prompt", {}, "not supported"),
      refused_field<R>("truncation", {"disabled"}, "not supported"),
      refused_field<R>("context_management", {Json::array()}, "not supported"),
  };
}

std::vector<Field<R>> answer_fields() {
  return {
      bool_field("stream", &R::stream, false, "Server-sent events instead of one body."),
      int_field("max_output_tokens", &R::max_tokens, {1, kMaxInt}, nullptr,
                "At most so many generated tokens, reasoning included."),
      refused_field<R>("max_tokens", {}, "not supported; use max_output_tokens"),
      openai::stop_field(),
      openai::thinking_token_budget_field(),
      int_field("top_logprobs", &R::top_logprobs, {0, kMaxTopLogprobs}, 0,
                "So many most likely tokens with include: message.output_text.logprobs."),
      {"include", described(list_schema(words_schema({kLogprobs}), 0, kMaxMetadata), "What to send besides."),
       read_include},
  };
}

std::vector<Field<R>> other_fields() {
  return {
      bool_field("store", &R::store, true, "Keep the response, to be fetched or gone on with by its id."),
      {"metadata", described(metadata_schema(), "Up to 16 strings for the caller's own records; come back."),
       read_metadata},
      refused_field<R>("background", {false}, "not supported"),
      refused_field<R>("moderation", {}, "not supported"),
      ignored_field<R>("stream_options", "Events are never padded."),
  };
}

}  // namespace

const FieldTable<R>& request_table() {
  static const FieldTable<R> table = FieldTable<R>(prompt_fields())
                                         .with(answer_fields())
                                         .with(form_fields())
                                         .with(other_fields())
                                         .with(openai::bookkeeping_fields())
                                         .with(openai::engine_fields());
  return table;
}

ApiResult<R> parse_request(const Json& body) {
  R request;
  RETORT_API_TRY(request_table().apply(body, request));
  if (request.top_logprobs > 0 && !request.logprobs)
    return refuse(400, "top_logprobs: only of use with include: [\"message.output_text.logprobs\"]", "top_logprobs");
  RETORT_API_TRY(check_tool_use(request.tool_use, "tool_choice"));
  openai::apply_reasoning_effort(request);
  RETORT_API_TRY(check_generate_request(request));
  return request;
}

}  // namespace retort::responses
