// tools, tool_choice and parallel_tool_calls in the shape of OpenAI's chat completions.
#pragma once

#include "server/openai/chat_request.h"

namespace retort::openai {

const std::vector<Field<ChatRequest>>& tool_fields();
Field<ChatRequest> parallel_tool_calls_field();
// auto, none or required; false for anything else.
bool read_choice_word(const Json& value, ToolUse& use);

// [{"type": "function", "function": {"name", "description", "parameters", "strict"}}]
Json tools_schema();
ApiStatus read_tools(const Json& value, ToolUse& use);

}  // namespace retort::openai
