// Messages as clients send them → messages as chat templates know them.
#include <string>

#include "server/openai/chat_request.h"

namespace retort::openai {
namespace {

struct Message {
  std::string role;
  Json content;  // a string, or null when there is none
  std::string name, tool_call_id, reasoning;
  Json tool_calls;
};

ApiResult<std::string> read_part(const Json& part, const std::string& path) {
  if (!part.is_object()) return expected(path, "a content part", part);
  const Json type = part.value("type", Json());
  if (!type.is_string()) return expected(path + ".type", "a string", type);
  if (type != "text")
    return refuse(
        400, fmt::format("{}: content of type '{}' is not supported, only 'text' is", path, type.get<std::string>()),
        path, "unsupported_content_type");
  return read_string(part.value("text", Json()), path + ".text");
}

ApiStatus read_content(const Json& value, Message& message) {
  if (value.is_string()) {
    message.content = value;
    return {};
  }
  if (!value.is_array()) return expected("content", "a string or a list of content parts", value);
  std::string joined;
  for (size_t i = 0; i < value.size(); ++i) {
    RETORT_API_ASSIGN(const std::string text, read_part(value[i], fmt::format("content[{}]", i)));
    if (i > 0) joined += '\n';
    joined += text;
  }
  message.content = std::move(joined);
  return {};
}

ApiStatus read_role(const Json& value, Message& message) {
  if (value == "developer") {
    message.role = "system";
    return {};
  }
  for (const char* role : {"system", "user", "assistant", "tool"}) {
    if (value != role) continue;
    message.role = role;
    return {};
  }
  return expected("role", "system, developer, user, assistant or tool", value);
}

ApiStatus read_tool_calls(const Json& value, Message& message) {
  if (!value.is_array()) return expected("tool_calls", "a list of tool calls", value);
  for (size_t i = 0; i < value.size(); ++i) {
    const std::string path = fmt::format("tool_calls[{}]", i);
    const Json function = value[i].is_object() ? value[i].value("function", Json()) : Json();
    if (!function.is_object()) return expected(path, "an object with a function", value[i]);
    RETORT_API_TRY(read_string(function.value("name", Json()), path + ".function.name"));
    const Json arguments = function.value("arguments", Json());
    if (!arguments.is_string() && !arguments.is_object() && !arguments.is_null())
      return expected(path + ".function.arguments", "JSON in a string", arguments);
  }
  if (!value.empty()) message.tool_calls = value;
  return {};
}

Json part_schema() {
  return {{"type", "object"},
          {"properties", {{"type", {{"const", "text"}}}, {"text", text_schema()}}},
          {"required", {"type", "text"}}};
}

Json tool_call_schema() {
  const Json arguments = any_of({text_schema(), type_schema("object"), type_schema("null")});
  const Json function = {
      {"type", "object"}, {"properties", {{"name", text_schema()}, {"arguments", arguments}}}, {"required", {"name"}}};
  return {{"type", "object"}, {"properties", {{"function", function}}}, {"required", {"function"}}};
}

// Answers that clients send back carry what our own answers and OpenAI's have.
const FieldTable<Message>& message_table() {
  static const FieldTable<Message> table({
      {"role", words_schema({"system", "developer", "user", "assistant", "tool"}), read_role, true},
      {"content", any_of({text_schema(), list_schema(part_schema())}), read_content},
      string_field("name", &Message::name, ""),
      string_field("tool_call_id", &Message::tool_call_id, ""),
      string_field("reasoning", &Message::reasoning, ""),
      string_field("reasoning_content", &Message::reasoning, ""),
      {"tool_calls", list_schema(tool_call_schema()), read_tool_calls},
      ignored_field<Message>("annotations", ""),
      refused_field<Message>("refusal", {""}, "not supported"),
      refused_field<Message>("audio", {}, "only text is supported"),
      refused_field<Message>("function_call", {}, "deprecated and not supported; use tool_calls"),
  });
  return table;
}

Json to_template_shape(Message message) {
  Json shaped = {{"role", std::move(message.role)}, {"content", std::move(message.content)}};
  if (!message.name.empty()) shaped["name"] = std::move(message.name);
  if (!message.reasoning.empty()) shaped["reasoning_content"] = std::move(message.reasoning);
  if (!message.tool_calls.is_null()) shaped["tool_calls"] = std::move(message.tool_calls);
  if (!message.tool_call_id.empty()) shaped["tool_call_id"] = std::move(message.tool_call_id);
  return shaped;
}

}  // namespace

// Only an assistant's message may lack content and have calls of tools.
Json message_schema() {
  Json schema = message_table().schema();
  const Json of_assistant = Json::object({{"properties", {{"role", {{"const", "assistant"}}}}}});
  const Json of_others = {
      {"properties",
       {{"content", {{"type", {"string", "array"}}}}, {"tool_calls", {{"type", {"array", "null"}}, {"maxItems", 0}}}}},
      {"required", {"content"}}};
  schema["anyOf"] = Json::array({of_assistant, of_others});
  return schema;
}

void CallIds::add_of(const Json& message) {
  if (!message.contains("tool_calls")) return;
  for (const Json& call : message["tool_calls"]) {
    const Json id = call.value("id", Json());
    if (id.is_string() && id != "")
      add(id);
    else
      has_nameless_ = true;
  }
}

ApiStatus CallIds::check(const std::string& id, const std::string& path) const {
  if (id.empty() || has_nameless_ || ids_.contains(id)) return {};
  return expected(path, "the id of a call that an earlier message has", id);
}

ApiResult<Json> normalise_messages(const Json& messages, CallIds calls) {
  if (!messages.is_array() || messages.empty()) return expected("messages", "a list of at least one message", messages);
  Json normalised = Json::array();
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string path = fmt::format("messages[{}]", i);
    Message message;
    RETORT_API_TRY(message_table().apply(messages[i], message, path + "."));
    const bool may_be_empty = message.role == "assistant";
    if (message.content.is_null() && !may_be_empty)
      return refuse(400, fmt::format("{}.content: required, and missing", path), path + ".content");
    if (!message.tool_calls.is_null() && message.role != "assistant")
      return refuse(400, fmt::format("{}.tool_calls: only an assistant's message may have them", path),
                    path + ".tool_calls");
    if (message.role == "tool") RETORT_API_TRY(calls.check(message.tool_call_id, path + ".tool_call_id"));
    normalised.push_back(to_template_shape(std::move(message)));
    calls.add_of(normalised.back());
  }
  return normalised;
}

}  // namespace retort::openai
