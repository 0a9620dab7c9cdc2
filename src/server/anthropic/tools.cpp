#include "server/anthropic/tools.h"

#include "server/openai/structured_output.h"
#include "server/tools/tool_fields.h"

namespace retort::anthropic {
namespace {

using R = Request;

const FieldTable<Tool>& tool_table() {
  static const FieldTable<Tool> table =
      FieldTable<Tool>({
                           tool_type_field("custom"),
                           ignored_field<Tool>("cache_control", "The prefix cache needs none."),
                           ignored_field<Tool>("eager_input_streaming",
                                               "A call that a grammar holds is always sent while it is written."),
                           refused_field<Tool>("defer_loading", {false}, "not supported"),
                           refused_field<Tool>("allowed_callers", {Json::array({"direct"})}, "not supported"),
                           refused_field<Tool>("input_examples", {Json::array()}, "not supported"),
                       })
          .with(tool_declaration_fields("input_schema"));
  return table;
}

struct Choice {
  std::string type, name;
  bool disable_parallel_tool_use = false;
};

const FieldTable<Choice>& choice_table() {
  static const FieldTable<Choice> table = [] {
    Field<Choice> type = string_field("type", &Choice::type, "");
    type.schema = words_schema({"auto", "any", "tool", "none"});
    type.required = true;
    return FieldTable<Choice>({std::move(type), string_field("name", &Choice::name, ""),
                               bool_field("disable_parallel_tool_use", &Choice::disable_parallel_tool_use, false, "")});
  }();
  return table;
}

ApiStatus read_tool_choice(const Json& value, R& request) {
  Choice choice;
  RETORT_API_TRY(choice_table().apply(value, choice, "tool_choice."));
  ToolUse& use = request.tool_use;
  use.parallel = !choice.disable_parallel_tool_use;
  use.chosen = choice.name;
  if (choice.type == "auto")
    use.choice = ToolChoice::kAuto;
  else if (choice.type == "none")
    use.choice = ToolChoice::kNone;
  else if (choice.type == "any")
    use.choice = ToolChoice::kRequired;
  else if (choice.type == "tool")
    use.choice = ToolChoice::kNamed;
  else
    return expected("tool_choice.type", "auto, any, tool or none", choice.type);
  return {};
}

ApiStatus read_format(const Json& value, R& request) {
  const Json type = value.is_object() ? value.value("type", Json()) : Json();
  if (type != "json_schema" || !value.contains("schema"))
    return expected("format", "{\"type\": \"json_schema\", \"schema\": …}", value);
  for (const auto& [key, item] : value.items())
    if (key != "type" && key != "schema")
      return refuse(400, fmt::format("format: unknown field '{}'", key), "format." + key, "unknown_parameter");
  RETORT_API_TRY(openai::set_json_schema(value["schema"], "format.schema", request));
  request.grammar->field = "output_config.format";
  return {};
}

ApiStatus read_effort(const Json& value, R& request) {
  for (const char* effort : {"low", "medium", "high", "xhigh", "max"}) {
    if (value != effort) continue;
    request.reasoning_effort = effort;
    return {};
  }
  return expected("effort", "low, medium, high, xhigh or max", value);
}

Json format_schema() {
  return {{"type", "object"},
          {"properties", {{"type", {{"const", "json_schema"}}}, {"schema", openai::schema_of_schemas()}}},
          {"required", {"type", "schema"}},
          {"additionalProperties", false}};
}

const FieldTable<R>& output_table() {
  static const FieldTable<R> table({
      {"effort", words_schema({"low", "medium", "high", "xhigh", "max"}), read_effort},
      {"format", format_schema(), read_format},
  });
  return table;
}

ApiStatus read_output_config(const Json& value, R& request) {
  return output_table().apply(value, request, "output_config.");
}

}  // namespace

const std::vector<Field<R>>& tool_fields() {
  static const std::vector<Field<R>> fields = {
      {"tools", described(list_schema(tool_table().schema(), 0, kMostTools), "Tools that the model may use."),
       [](const Json& value, R& request) { return read_tools(value, tool_table(), request.tool_use); }},
      {"tool_choice",
       described(choice_table().schema(),
                 "Which tools may or must be used; any and tool (one that is named) are held to by a grammar."),
       read_tool_choice},
      {"output_config", described(output_table().schema(), "effort bounds thinking; format binds the answer."),
       read_output_config},
  };
  return fields;
}

}  // namespace retort::anthropic
