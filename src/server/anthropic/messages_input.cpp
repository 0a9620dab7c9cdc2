// Anthropic's messages → messages as chat templates know them.
#include <algorithm>
#include <array>

#include "server/anthropic/request.h"
#include "server/fields/json_input.h"

namespace retort::anthropic {
namespace {

struct Block {
  std::string type, text, thinking, signature, id, name, tool_use_id;
  Json input, content;
  bool is_error = false;
};

Json text_block_schema() {
  return {{"type", "object"},
          {"properties",
           {{"type", words_schema({"text"})}, {"text", or_null(text_schema())}, {"cache_control", Json::object()}}},
          {"required", {"type"}},
          {"additionalProperties", type_schema("null")}};
}

const FieldTable<Block>& block_table() {
  const auto keep = [](Json Block::* member) {
    return [member](const Json& value, Block& block) -> ApiStatus {
      block.*member = value;
      return {};
    };
  };
  Field<Block> type = string_field("type", &Block::type, "");
  type.schema = words_schema({"text", "thinking", "tool_use", "tool_result"});
  type.required = true;
  static const FieldTable<Block> table({
      std::move(type),
      string_field("text", &Block::text, ""),
      string_field("thinking", &Block::thinking, ""),
      string_field("signature", &Block::signature, ""),
      string_field("id", &Block::id, ""),
      string_field("name", &Block::name, ""),
      string_field("tool_use_id", &Block::tool_use_id, ""),
      {"input", type_schema("object"), keep(&Block::input)},
      {"content", any_of({text_schema(), list_schema(text_block_schema())}), keep(&Block::content)},
      bool_field("is_error", &Block::is_error, false, ""),
      ignored_field<Block>("cache_control", "The prefix cache needs none."),
      refused_field<Block>("citations", {Json::array()}, "not supported"),
      refused_field<Block>("caller", {{{"type", "direct"}}}, "not supported"),
  });
  return table;
}

tl::unexpected<ApiError> unsupported_block(const Block& block, const std::string& path, std::string_view supported) {
  return refuse(400,
                fmt::format("{}: a block of type '{}' is not supported here, only {}", path, block.type, supported),
                path + ".type", "unsupported_content_type");
}

constexpr std::array kBlockTypes = {"text", "thinking", "tool_use", "tool_result"};

ApiResult<Block> read_block(const Json& value, const std::string& path) {
  Block block;
  const Json type = value.is_object() ? value.value("type", Json()) : Json();
  if (type.is_string() && std::ranges::find(kBlockTypes, type.get_ref<const std::string&>()) == kBlockTypes.end()) {
    block.type = type;  // its fields are not ours to read
    return block;
  }
  RETORT_API_TRY(block_table().apply(value, block, path + "."));
  return block;
}

// Blocks of one message; a string is one block of text.
ApiResult<std::vector<Block>> read_blocks(const Json& value, const std::string& path) {
  std::vector<Block> blocks;
  if (value.is_string()) {
    blocks.emplace_back();
    blocks.back().type = "text";
    blocks.back().text = value.get<std::string>();
    return blocks;
  }
  if (!value.is_array()) return expected(path, "a string or a list of content blocks", value);
  for (size_t i = 0; i < value.size(); ++i) {
    RETORT_API_ASSIGN(Block block, read_block(value[i], fmt::format("{}[{}]", path, i)));
    blocks.push_back(std::move(block));
  }
  return blocks;
}

ApiResult<std::string> read_text(const Json& value, const std::string& path) {
  RETORT_API_ASSIGN(const std::vector<Block> blocks, read_blocks(value, path));
  std::string text;
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (blocks[i].type != "text") return unsupported_block(blocks[i], fmt::format("{}[{}]", path, i), "text");
    text += (i > 0 ? "\n" : "") + blocks[i].text;
  }
  return text;
}

// Results of tools are messages of their own, in their order before and after what the user writes.
ApiStatus add_user_message(const Json& content, const std::string& path, const openai::CallIds& calls, Json& messages) {
  RETORT_API_ASSIGN(const std::vector<Block> blocks, read_blocks(content, path));
  bool goes_on = false;  // the last message is text of this one
  for (size_t i = 0; i < blocks.size(); ++i) {
    const Block& block = blocks[i];
    const std::string where = fmt::format("{}[{}]", path, i);
    if (block.type == "tool_result") {
      if (block.tool_use_id.empty()) return refuse(400, where + ".tool_use_id: required, and missing", where);
      RETORT_API_TRY(calls.check(block.tool_use_id, where + ".tool_use_id"));
      const Json result = block.content.is_null() ? Json("") : block.content;
      RETORT_API_ASSIGN(std::string text, read_text(result, where + ".content"));
      messages.push_back({{"role", "tool"}, {"content", std::move(text)}, {"tool_call_id", block.tool_use_id}});
      goes_on = false;
    } else if (block.type != "text") {
      return unsupported_block(block, where, "text and tool_result");
    } else if (goes_on) {
      messages.back()["content"] = messages.back()["content"].get<std::string>() + "\n" + block.text;
    } else {
      messages.push_back({{"role", "user"}, {"content", block.text}});
      goes_on = true;
    }
  }
  return {};
}

ApiResult<Json> tool_call(const Block& block, const std::string& path) {
  if (block.id.empty() || block.name.empty())
    return refuse(400, fmt::format("{}: expected a block with id, name and input", path), path);
  if (!block.input.is_object()) return expected(path + ".input", "an object", block.input);
  return Json{{"id", block.id},
              {"type", "function"},
              {"function", {{"name", block.name}, {"arguments", dump_json(block.input)}}}};
}

ApiStatus add_assistant_message(const Json& content, const std::string& path, Json& messages) {
  RETORT_API_ASSIGN(const std::vector<Block> blocks, read_blocks(content, path));
  std::string text, reasoning;
  Json tool_calls = Json::array();
  for (size_t i = 0; i < blocks.size(); ++i) {
    const Block& block = blocks[i];
    const std::string where = fmt::format("{}[{}]", path, i);
    if (block.type == "text") {
      text += (text.empty() ? "" : "\n") + block.text;
    } else if (block.type == "thinking") {
      reasoning += block.thinking;
    } else if (block.type == "tool_use") {
      RETORT_API_ASSIGN(Json call, tool_call(block, where));
      tool_calls.push_back(std::move(call));
    } else {
      return unsupported_block(block, where, "text, thinking and tool_use");
    }
  }
  Json message = {{"role", "assistant"}, {"content", std::move(text)}};
  if (!reasoning.empty()) message["reasoning"] = std::move(reasoning);
  if (!tool_calls.empty()) message["tool_calls"] = std::move(tool_calls);
  messages.push_back(std::move(message));
  return {};
}

struct Message {
  std::string role;
  Json content;
};

const FieldTable<Message>& message_table() {
  static const FieldTable<Message> table = [] {
    Field<Message> role = string_field("role", &Message::role, "");
    role.schema = words_schema({"user", "assistant", "system"});
    role.required = true;
    return FieldTable<Message>({std::move(role),
                                {"content", content_schema(),
                                 [](const Json& content, Message& message) -> ApiStatus {
                                   message.content = content;
                                   return {};
                                 },
                                 true}});
  }();
  return table;
}

ApiStatus add_message(const Json& value, const std::string& path, openai::CallIds& calls, Json& messages) {
  Message message;
  RETORT_API_TRY(message_table().apply(value, message, path + "."));
  if (message.role == "user") return add_user_message(message.content, path + ".content", calls, messages);
  if (message.role == "assistant") {
    RETORT_API_TRY(add_assistant_message(message.content, path + ".content", messages));
    calls.add_of(messages.back());
    return {};
  }
  if (message.role != "system") return expected(path + ".role", "user, assistant or system", message.role);
  RETORT_API_ASSIGN(std::string text, read_text(message.content, path + ".content"));
  messages.push_back({{"role", "system"}, {"content", std::move(text)}});
  return {};
}

}  // namespace

Json content_schema() {
  const auto of_type = [](std::initializer_list<const char*> types, std::initializer_list<const char*> needed) {
    Json properties = Json::object({{"type", words_schema(types)}});
    for (const char* name : needed)
      properties[name] = std::string_view(name) == "input" ? type_schema("object") : text_not_empty_schema();
    return Json{{"properties", std::move(properties)}, {"required", Json(needed)}};
  };
  Json block = block_table().schema();
  block.update(any_of({of_type({"text", "thinking"}, {}), of_type({"tool_use"}, {"id", "name", "input"}),
                       of_type({"tool_result"}, {"tool_use_id"})}));
  return any_of({text_schema(), list_schema(std::move(block))});
}
Json message_schema() { return message_table().schema(); }

ApiResult<Json> to_chat_messages(const Json& system, const Json& conversation) {
  if (!conversation.is_array() || conversation.empty())
    return expected("messages", "a list of at least one message", conversation);
  Json messages = Json::array();
  openai::CallIds calls;
  if (!system.is_null()) {
    RETORT_API_ASSIGN(std::string text, read_text(system, "system"));
    if (!text.empty()) messages.push_back({{"role", "system"}, {"content", std::move(text)}});
  }
  for (size_t i = 0; i < conversation.size(); ++i)
    RETORT_API_TRY(add_message(conversation[i], fmt::format("messages[{}]", i), calls, messages));
  if (messages.empty()) return refuse(400, "messages: expected some content, got none", "messages");
  return openai::normalise_messages(messages);
}

}  // namespace retort::anthropic
