#include "server/ollama/request.h"

#include "server/openai/structured_output.h"
#include "server/openai/tools.h"

namespace retort::ollama {
namespace {

constexpr int kMaxTopLogprobs = 20;

using R = Request;

ApiStatus read_num_predict(const Json& value, R& request) {
  RETORT_API_ASSIGN(const int64_t number, read_int(value, "num_predict", {-2, kMaxInt}));
  if (number == 0) return expected("num_predict", "-1, -2 or at least 1", value);
  request.max_tokens = number < 0 ? std::nullopt : std::optional(static_cast<int>(number));
  return {};
}

const FieldTable<R>& options_table() {
  constexpr std::string_view kAtStart = "Chosen when the server starts.";
  static const FieldTable<R> table({
      number_field("temperature", &R::temperature, {0, 2}, nullptr, "0: greedy. Default: the model's own."),
      number_field("top_p", &R::top_p, {0, 1, true}, nullptr, "Nucleus sampling."),
      int_field("top_k", &R::top_k, {-1, kMaxInt}, nullptr, "Sample among the k most likely; 0 or -1: all."),
      number_field("min_p", &R::min_p, {0, 1}, nullptr, "Least probability, relative to the most likely token's."),
      number_field("typical_p", &R::typical_p, {0, 1, true}, 1, "Locally typical sampling."),
      number_field("repeat_penalty", &R::repetition_penalty, openai::kRepetitionPenaltyRange, 1,
                   "Over prompt and generated tokens."),
      number_field("presence_penalty", &R::presence_penalty, {-2, 2}, 0, "For tokens already generated."),
      number_field("frequency_penalty", &R::frequency_penalty, {-2, 2}, 0,
                   "Per occurrence among the generated tokens."),
      int_field("seed", &R::seed, {}, nullptr, "The same seed gives the same text."),
      {"num_predict",
       {{"type", "integer"},
        {"minimum", -2},
        {"maximum", kMaxInt},
        {"not", Json::object({{"const", 0}})},
        {"description", "At most so many tokens; -1, -2: what the context leaves."}},
       read_num_predict},
      {"stop", openai::stop_schema(), [](const Json& value, R& request) { return openai::read_stop(value, request); }},
      ignored_field<R>("num_keep", "Nothing is ever shifted out of the context."),
      ignored_field<R>("num_ctx", kAtStart),
      ignored_field<R>("num_batch", kAtStart),
      ignored_field<R>("num_gpu", kAtStart),
      ignored_field<R>("main_gpu", kAtStart),
      ignored_field<R>("num_thread", kAtStart),
      ignored_field<R>("numa", kAtStart),
      ignored_field<R>("low_vram", kAtStart),
      ignored_field<R>("f16_kv", kAtStart),
      ignored_field<R>("use_mmap", kAtStart),
      ignored_field<R>("use_mlock", kAtStart),
      ignored_field<R>("logits_all", kAtStart),
      refused_field<R>("vocab_only", {false}, "not supported"),
      refused_field<R>("embedding_only", {false}, "not supported"),
      refused_field<R>("repeat_last_n", {-1}, "not supported; the penalty counts the whole text"),
      refused_field<R>("penalize_newline", {true}, "not supported"),
      refused_field<R>("tfs_z", {1}, "not supported; use min_p"),
      refused_field<R>("mirostat", {0}, "not supported"),
      ignored_field<R>("mirostat_tau", "Only of use with mirostat."),
      ignored_field<R>("mirostat_eta", "Only of use with mirostat."),
  });
  return table;
}

ApiStatus read_think(const Json& value, R& request) {
  for (const char* effort : {"low", "medium", "high", "max"}) {
    if (value != effort) continue;
    request.reasoning_effort = effort;
    openai::apply_reasoning_effort(request);
    return {};
  }
  if (!value.is_boolean()) return expected("think", "true, false, low, medium, high or max", value);
  request.chat_template_kwargs["enable_thinking"] = value;
  request.include_reasoning = value.get<bool>();
  return {};
}

ApiStatus read_format(const Json& value, R& request) {
  if (value == Json("")) return {};
  if (value != "json" && !value.is_object()) return expected("format", "json or a JSON schema", value);
  return openai::set_json_schema(value == "json" ? Json({{"type", "object"}}) : value, "format", request);
}

// Their calls have no ids.
Json to_openai_calls(const Json& calls) {
  if (!calls.is_array()) return calls;
  Json renamed = Json::array();
  for (const Json& call : calls) {
    renamed.push_back(call);
    if (call.is_object() && !call.contains("type")) renamed.back()["type"] = "function";
  }
  return renamed;
}

// Ollama's names of a message's parts → OpenAI's.
ApiResult<Json> to_openai_message(const Json& message, const std::string& path) {
  if (!message.is_object()) return expected(path, "an object", message);
  Json renamed = Json::object();
  for (const auto& [key, value] : message.items()) {
    if (value.is_null()) continue;
    const std::string name = key == "thinking" ? "reasoning" : key == "tool_name" ? "name" : key;
    if (renamed.contains(name))
      return refuse(400, fmt::format("{}.{}: given under another name as well", path, key), path + "." + key);
    if (key == "images") {
      if (value != Json::array())
        return refuse(400, fmt::format("{}.images: only text is supported", path), path + ".images",
                      "unsupported_parameter");
    } else if (key == "tool_calls") {
      renamed[key] = to_openai_calls(value);
    } else {
      renamed[name] = value;
    }
  }
  return renamed;
}

ApiStatus read_messages(const Json& value, R& request) {
  if (!value.is_array()) return expected("messages", "a list of messages", value);
  Json messages = Json::array();
  for (size_t i = 0; i < value.size(); ++i) {
    RETORT_API_ASSIGN(Json message, to_openai_message(value[i], fmt::format("messages[{}]", i)));
    messages.push_back(std::move(message));
  }
  if (messages.empty()) return {};
  RETORT_API_ASSIGN(request.messages, openai::normalise_messages(messages));
  return {};
}

// OpenAI's, with Ollama's names.
Json messages_schema() {
  Json message = openai::message_schema();
  Json& properties = message["properties"];
  properties["thinking"] = properties["reasoning"];
  properties["tool_name"] = properties["name"];
  properties["images"] = Json::object({{"enum", {Json::array(), nullptr}}});
  return described(list_schema(std::move(message)), "The conversation. Roles: system, user, assistant, tool.");
}

std::vector<Field<R>> common_fields() {
  Field<R> model = string_field("model", &R::model, "The served model's name; a tag ':latest' may follow it.");
  model.required = true;
  return {
      std::move(model),
      bool_field("stream", &R::stream, true, "Lines of JSON instead of one body."),
      {"options", options_table().schema(),
       [](const Json& value, R& request) { return options_table().apply(value, request, "options."); }},
      {"think",
       described(any_of({type_schema("boolean"), words_schema({"low", "medium", "high", "max"})}),
                 "Whether to think first, or how much (low to max); what was thought comes apart, as thinking."),
       read_think},
      bool_field("logprobs", &R::logprobs, false, "Log-probabilities of the generated tokens."),
      int_field("top_logprobs", &R::top_logprobs, {0, kMaxTopLogprobs}, 0,
                "And of the most likely ones; needs logprobs."),
      ignored_field<R>("keep_alive", "The model stays loaded."),
      {"format",
       described(any_of({words_schema({"json", ""}), type_schema("object")}),
                 "json, or a JSON schema: what the answer must be."),
       read_format},
  };
}

ApiStatus check(const R& request) {
  if (request.top_logprobs > 0 && !request.logprobs)
    return refuse(400, "top_logprobs: only allowed when logprobs is true", "top_logprobs");
  return {};
}

}  // namespace

const FieldTable<R>& chat_table() {
  static const FieldTable<R> table = [] {
    return FieldTable<R>({{"messages", messages_schema(), read_messages},
                          {"tools", openai::tools_schema(),
                           [](const Json& value, R& request) { return openai::read_tools(value, request.tool_use); }}})
        .with(common_fields());
  }();
  return table;
}

const FieldTable<R>& generate_table() {
  static const FieldTable<R> table =
      FieldTable<R>({string_field("prompt", &R::prompt, "What the model is asked."),
                     string_field("system", &R::system, "A system message before it."),
                     bool_field("raw", &R::raw, false, "The prompt is the whole text: no chat template."),
                     refused_field<R>("suffix", {""}, "not supported"),
                     refused_field<R>("template", {""}, "a template from a request is not trusted"),
                     refused_field<R>("context", {Json::array()}, "not supported; use /api/chat"),
                     refused_field<R>("images", {Json::array()}, "only text is supported"),
                     refused_field<R>("width", {}, "only text is supported"),
                     refused_field<R>("height", {}, "only text is supported"),
                     refused_field<R>("steps", {}, "only text is supported")})
          .with(common_fields());
  return table;
}

ApiResult<R> parse_chat(const Json& body) {
  R request;
  RETORT_API_TRY(chat_table().apply(body, request));
  RETORT_API_TRY(check(request));
  return request;
}

ApiResult<R> parse_generate(const Json& body) {
  R request;
  RETORT_API_TRY(generate_table().apply(body, request));
  RETORT_API_TRY(check(request));
  if (request.raw && !request.system.empty()) return refuse(400, "system: not with raw", "system");
  if (request.raw || request.prompt.empty()) return request;
  request.messages = Json::array();
  if (!request.system.empty()) request.messages.push_back({{"role", "system"}, {"content", request.system}});
  request.messages.push_back({{"role", "user"}, {"content", request.prompt}});
  return request;
}

std::string without_latest(std::string name) {
  constexpr std::string_view kLatest = ":latest";
  if (name.ends_with(kLatest)) name.resize(name.size() - kLatest.size());
  return name;
}

}  // namespace retort::ollama
