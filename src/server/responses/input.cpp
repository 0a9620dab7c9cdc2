// Items of the responses API → messages as chat templates know them.
#include <algorithm>
#include <array>

#include "server/responses/request.h"

namespace retort::responses {
namespace {

struct Item {
  std::string type = "message", id, role, status, call_id, name, arguments, phase;
  Json content, output, summary;
};

template <class Owner>
Field<Owner> kept_field(std::string_view name, Json Owner::* member, Json schema) {
  return {std::string(name), std::move(schema), [member](const Json& value, Owner& owner) -> ApiStatus {
            owner.*member = value;
            return {};
          }};
}

struct Part {
  std::string type, text;
};

constexpr std::array kPartTypes = {"input_text", "output_text", "reasoning_text", "summary_text", "text"};
constexpr std::array kItemTypes = {"message", "reasoning", "function_call", "function_call_output"};

// Before its fields are looked at, which are those of its type.
template <size_t N>
ApiStatus check_type(const Json& value, const std::array<const char*, N>& known, const std::string& path,
                     std::string_view complaint) {
  const Json type = value.is_object() ? value.value("type", Json()) : Json();
  if (!type.is_string() || std::ranges::find(known, type.get_ref<const std::string&>()) != known.end()) return {};
  return refuse(400, fmt::format(fmt::runtime(complaint), path, type.get<std::string>()), path + ".type",
                "unsupported_content_type");
}

const FieldTable<Part>& part_table() {
  static const FieldTable<Part> table = [] {
    Field<Part> type = string_field("type", &Part::type, "");
    type.schema = Json::object({{"enum", kPartTypes}});
    type.required = true;
    return FieldTable<Part>({std::move(type), string_field("text", &Part::text, ""),
                             ignored_field<Part>("annotations", ""), ignored_field<Part>("logprobs", "")});
  }();
  return table;
}

ApiResult<std::string> read_part(const Json& value, const std::string& path) {
  RETORT_API_TRY(check_type(value, kPartTypes, path, "{}: content of type '{}' is not supported, only text is"));
  Part part;
  RETORT_API_TRY(part_table().apply(value, part, path + "."));
  return std::move(part.text);
}

Json text_form_schema() { return any_of({text_schema(), list_schema(part_table().schema())}); }

const FieldTable<Item>& item_table() {
  const Json text = text_form_schema();
  Field<Item> type = string_field("type", &Item::type, "");
  type.schema = Json::object({{"enum", kItemTypes}});
  static const FieldTable<Item> table({
      std::move(type),
      string_field("id", &Item::id, ""),
      string_field("role", &Item::role, ""),
      string_field("status", &Item::status, ""),
      string_field("call_id", &Item::call_id, ""),
      string_field("name", &Item::name, ""),
      string_field("arguments", &Item::arguments, ""),
      string_field("phase", &Item::phase, ""),
      kept_field("content", &Item::content, text),
      kept_field("output", &Item::output, text),
      kept_field("summary", &Item::summary, Json::object()),
      refused_field<Item>("encrypted_content", {""}, "not supported"),
  });
  return table;
}

// A string, or a list of parts.
ApiResult<std::string> read_text(const Json& value, const std::string& path) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return expected(path, "a string or a list of content parts", value);
  std::string joined;
  for (size_t i = 0; i < value.size(); ++i) {
    RETORT_API_ASSIGN(const std::string text, read_part(value[i], fmt::format("{}[{}]", path, i)));
    joined += (i > 0 ? "\n" : "") + text;
  }
  return joined;
}

// Gathers items until a message is whole: reasoning, text and calls of one turn are items of their own.
class Conversation {
 public:
  // `calls`: of what was said before.
  explicit Conversation(openai::CallIds calls) : calls_(std::move(calls)) {}

  ApiStatus add(const Item& item, const std::string& path) {
    if (item.type == "message") return add_message(item, path);
    if (item.type == "reasoning") return add_reasoning(item, path);
    return item.type == "function_call" ? add_call(item, path) : add_output(item, path);
  }
  ApiResult<Json> take() {
    if (!reasoning_.empty()) open_turn();
    if (messages_.empty()) return refuse(400, "input: holds nothing that could be answered", "input");
    return openai::normalise_messages(messages_, calls_);
  }

 private:
  ApiStatus add_message(const Item& item, const std::string& path) {
    RETORT_API_ASSIGN(std::string text, read_text(item.content, path + ".content"));
    if (item.role == "assistant") {
      open_turn()["content"] = std::move(text);
      return {};
    }
    if (item.role != "user" && item.role != "system" && item.role != "developer")
      return expected(path + ".role", "user, assistant, system or developer", item.role);
    messages_.push_back({{"role", item.role}, {"content", std::move(text)}});
    return {};
  }

  ApiStatus add_reasoning(const Item& item, const std::string& path) {
    if (item.content.is_null()) return {};  // a summary alone is nothing that the model has written
    RETORT_API_ASSIGN(const std::string text, read_text(item.content, path + ".content"));
    reasoning_ += text;
    return {};
  }

  ApiStatus add_call(const Item& item, const std::string& path) {
    if (item.call_id.empty() || item.name.empty())
      return refuse(400, fmt::format("{}: expected an item with call_id, name and arguments", path), path);
    const bool goes_on = reasoning_.empty() && !messages_.empty() && messages_.back()["role"] == "assistant";
    Json& turn = goes_on ? messages_.back() : open_turn();
    calls_.add(item.call_id);
    turn["tool_calls"].push_back({{"id", item.call_id},
                                  {"type", "function"},
                                  {"function", {{"name", item.name}, {"arguments", item.arguments}}}});
    return {};
  }

  ApiStatus add_output(const Item& item, const std::string& path) {
    if (item.call_id.empty()) return refuse(400, path + ".call_id: required, and missing", path + ".call_id");
    RETORT_API_TRY(calls_.check(item.call_id, path + ".call_id"));
    RETORT_API_ASSIGN(std::string text, read_text(item.output, path + ".output"));
    messages_.push_back({{"role", "tool"}, {"content", std::move(text)}, {"tool_call_id", item.call_id}});
    return {};
  }

  Json& open_turn() {
    Json turn = {{"role", "assistant"}, {"content", ""}};
    if (!reasoning_.empty()) turn["reasoning"] = std::exchange(reasoning_, {});
    messages_.push_back(std::move(turn));
    return messages_.back();
  }

  openai::CallIds calls_;
  Json messages_ = Json::array();
  std::string reasoning_;  // of the turn that is to come
};

}  // namespace

Json item_schema() {
  const Json text = text_form_schema(), id = text_not_empty_schema();
  const Json roles = words_schema({"user", "assistant", "system", "developer"});
  const auto of_type = [](Json type, Json properties) {
    Json required = Json::array();
    for (const auto& [name, schema] : properties.items()) required.push_back(name);
    if (!type["enum"].back().is_null()) required.push_back("type");
    properties["type"] = std::move(type);
    return Json{{"properties", std::move(properties)}, {"required", std::move(required)}};
  };
  Json schema = item_table().schema();
  schema.update(any_of({of_type(or_null(words_schema({"message"})), {{"role", roles}, {"content", text}}),
                        of_type(words_schema({"reasoning"}), Json::object()),
                        of_type(words_schema({"function_call"}), {{"call_id", id}, {"name", id}}),
                        of_type(words_schema({"function_call_output"}), {{"call_id", id}, {"output", text}})}));
  return schema;
}

ApiResult<Json> to_chat_messages(const Json& input, const Json& before) {
  if (input.is_string()) return Json::array({{{"role", "user"}, {"content", input}}});
  if (!input.is_array() || input.empty()) return expected("input", "a string or a list of at least one item", input);
  openai::CallIds calls;
  for (const Json& message : before) calls.add_of(message);
  Conversation conversation(std::move(calls));
  for (size_t i = 0; i < input.size(); ++i) {
    const std::string path = fmt::format("input[{}]", i);
    RETORT_API_TRY(check_type(input[i], kItemTypes, path, "{}: an item of type '{}' is not supported"));
    Item item;
    RETORT_API_TRY(item_table().apply(input[i], item, path + "."));
    RETORT_API_TRY(conversation.add(item, path));
  }
  return conversation.take();
}

}  // namespace retort::responses
