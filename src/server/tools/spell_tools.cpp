// Tools for models whose chat template knows none, R1 distils above all: Qwen's and Hermes' words for them, which such
// models were made to follow.
#include "server/fields/json_input.h"
#include "server/tools/tool_use.h"

namespace retort {
namespace {

constexpr std::string_view kResultOpen = "<tool_response>\n", kResultClose = "\n</tool_response>";

std::string text_of(const Json& message) {
  const auto content = message.find("content");
  return content != message.end() && content->is_string() ? content->get<std::string>() : "";
}

std::string tool_block(ToolFormat format, const ToolUse& use) {
  std::string block =
      "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function "
      "signatures within <tools></tools> XML tags:\n<tools>";
  for (const Json& tool : tools_for_template(use)) block += "\n" + dump_json(tool);
  const ToolCall example{"NAME", "{\"ARGUMENT\": VALUE}"};
  block += "\n</tools>\n\nFor each function call, write the function's name and arguments exactly like this:\n" +
           write_tool_calls(format, {&example, 1}) +
           "\n\nThe results will come within <tool_response></tool_response> tags. Call a function only when it helps; "
           "otherwise answer in plain text.";
  return block;
}

std::vector<ToolCall> calls_of(const Json& message) {
  std::vector<ToolCall> calls;
  for (const Json& call : message.value("tool_calls", Json::array())) {
    const Json& function = call.at("function");
    const Json arguments = function.value("arguments", Json());
    const std::string text = arguments.is_string() ? arguments.get<std::string>()
                             : arguments.is_null() ? ""
                                                   : dump_json(arguments);
    calls.push_back({function.at("name").get<std::string>(), text.empty() ? "{}" : text});
  }
  return calls;
}

Json spelled_assistant(ToolFormat format, Json message) {
  const std::vector<ToolCall> calls = calls_of(message);
  if (calls.empty()) return message;
  const std::string text = text_of(message);
  message["content"] = text + (text.empty() ? "" : "\n") + write_tool_calls(format, calls);
  message.erase("tool_calls");
  return message;
}

}  // namespace

void spell_tools(ToolFormat format, const ToolUse& use, Json& messages) {
  Json spelled = Json::array();
  if (use.are_offered()) {
    std::string system = tool_block(format, use);
    const bool has_system = messages.front()["role"] == "system";
    if (has_system) system = text_of(messages.front()) + "\n\n" + system;
    spelled.push_back({{"role", "system"}, {"content", std::move(system)}});
    if (has_system) messages.erase(0);
  }
  bool is_result = false;  // the last message is one
  for (Json& message : messages) {
    if (message["role"] != "tool") {
      spelled.push_back(message["role"] == "assistant" ? spelled_assistant(format, std::move(message))
                                                       : std::move(message));
      is_result = false;
      continue;
    }
    const std::string result = std::string(kResultOpen) + text_of(message) + std::string(kResultClose);
    if (is_result)
      spelled.back()["content"] = text_of(spelled.back()) + "\n" + result;
    else
      spelled.push_back({{"role", "user"}, {"content", result}});
    is_result = true;
  }
  messages = std::move(spelled);
}

}  // namespace retort
