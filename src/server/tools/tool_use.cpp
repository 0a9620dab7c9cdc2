#include "server/tools/tool_use.h"

#include <algorithm>

#include "server/fields/values.h"
#include "server/http/message.h"

namespace retort {
namespace {

constexpr size_t kLongestName = 128;

bool is_tool_name(std::string_view name) {
  const auto is_part = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-.:/").find(c) != std::string_view::npos;
  };
  return !name.empty() && name.size() <= kLongestName && std::all_of(name.begin(), name.end(), is_part);
}

}  // namespace

ApiStatus add_tool(Tool tool, ToolUse& use) {
  if (use.tools.size() == kMostTools)
    return refuse(400, fmt::format("tools: expected at most {} tools, got more", kMostTools), "tools");
  if (!is_tool_name(tool.name))
    return expected(tool.path + ".name", "a name of up to 128 letters, digits and _-.:/", tool.name);
  for (const Tool& other : use.tools)
    if (other.name == tool.name)
      return refuse(
          400, fmt::format("{}: expected names that differ, '{}' is that of {} too", tool.path, tool.name, other.path),
          tool.path);
  if (tool.parameters.empty()) tool.parameters = {{"type", "object"}, {"properties", Json::object()}};
  use.tools.push_back(std::move(tool));
  return {};
}

ApiStatus check_tool_use(const ToolUse& use, std::string_view path) {
  if (!use.must_call()) return {};
  if (use.tools.empty())
    return refuse(400, fmt::format("{}: expected tools beside it, there are none", path), std::string(path));
  if (use.choice == ToolChoice::kRequired || !callable_tools(use).empty()) return {};
  std::string names;
  for (const Tool& tool : use.tools) names += (names.empty() ? "" : ", ") + tool.name;
  return refuse(400, fmt::format("{}: expected the name of a tool ({}), got '{}'", path, names, use.chosen),
                std::string(path));
}

std::vector<const Tool*> callable_tools(const ToolUse& use) {
  std::vector<const Tool*> tools;
  for (const Tool& tool : use.tools)
    if (use.choice != ToolChoice::kNamed || tool.name == use.chosen) tools.push_back(&tool);
  return tools;
}

std::string schema_path(const Tool& tool) { return fmt::format("{}.{}", tool.path, tool.schema_name); }

Json arguments_schema(const Tool& tool) {
  Json schema = tool.parameters;
  schema["type"] = "object";
  return schema;
}

Json tools_for_template(const ToolUse& use) {
  if (!use.are_offered()) return {};
  Json tools = Json::array();
  for (const Tool& tool : use.tools) {
    Json function = {{"name", tool.name}};
    if (!tool.description.empty()) function["description"] = tool.description;
    function["parameters"] = tool.parameters;
    tools.push_back({{"type", "function"}, {"function", std::move(function)}});
  }
  return tools;
}

std::string make_call_id(std::string_view prefix) { return std::string(prefix) + http::make_request_id(); }

}  // namespace retort
