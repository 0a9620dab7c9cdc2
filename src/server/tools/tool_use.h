// What a request says of tools, whichever API it came by.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/api_error.h"
#include "text/tools/tool_format.h"

namespace retort {

inline constexpr size_t kMostTools = 128;

struct Tool {
  std::string name, description;
  Json parameters = Json::object();        // a JSON schema
  bool strict = false;                     // calls are held to the schema; one that cannot be held to is refused
  std::string path;                        // where the request has it: "tools[2]"
  std::string schema_name = "parameters";  // what its API calls the schema
};

enum class ToolChoice { kAuto, kNone, kRequired, kNamed };

struct ToolUse {
  std::vector<Tool> tools = {};
  ToolChoice choice = ToolChoice::kAuto;
  std::string chosen = {};  // with kNamed
  bool parallel = true;     // more than one call an answer

  // Whether the model is told of them and may call them.
  bool are_offered() const { return !tools.empty() && choice != ToolChoice::kNone; }
  bool must_call() const { return choice == ToolChoice::kRequired || choice == ToolChoice::kNamed; }
};

// 400 for a name that is none or is taken, and for too many tools.
ApiStatus add_tool(Tool tool, ToolUse& use);
// What the choice demands of the tools; `path` names the choice: "tool_choice".
ApiStatus check_tool_use(const ToolUse& use, std::string_view path);

// Those that may be called: all, or the one that is named.
std::vector<const Tool*> callable_tools(const ToolUse& use);
// Where the request has the tool's schema: "tools[2].input_schema".
std::string schema_path(const Tool& tool);
// The schema that calls are held to: the tool's, but that arguments are an object also where it leaves that open.
Json arguments_schema(const Tool& tool);
// As chat templates know them, OpenAI's shape; null for none.
Json tools_for_template(const ToolUse& use);

// For a template without tools: the system message tells of them, calls stand in the assistant's own words, and results
// are what a user says.
void spell_tools(ToolFormat format, const ToolUse& use, Json& messages);

// A new id, "call_…".
std::string make_call_id(std::string_view prefix = "call_");

}  // namespace retort
