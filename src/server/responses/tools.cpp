#include "server/responses/tools.h"

#include "server/openai/structured_output.h"
#include "server/openai/tools.h"
#include "server/tools/tool_fields.h"

namespace retort::responses {
namespace {

using R = Request;

const FieldTable<Tool>& tool_table() {
  static const FieldTable<Tool> table = [] {
    Field<Tool> type = tool_type_field("function");
    type.required = true;
    return FieldTable<Tool>({
                                std::move(type),
                                refused_field<Tool>("defer_loading", {false}, "not supported"),
                                refused_field<Tool>("allowed_callers", {}, "not supported"),
                                refused_field<Tool>("output_schema", {}, "not supported"),
                            })
        .with(tool_declaration_fields("parameters"));
  }();
  return table;
}

ApiStatus read_tool_choice(const Json& value, R& request) {
  ToolUse& use = request.tool_use;
  request.tool_choice = value;
  if (openai::read_choice_word(value, use)) return {};
  if (value.is_object() && value.value("type", Json()) == "function" && value.value("name", Json()).is_string()) {
    use.choice = ToolChoice::kNamed;
    use.chosen = value["name"];
    return {};
  }
  return expected("tool_choice", "none, auto, required or {\"type\": \"function\", \"name\"}", value);
}

const FieldTable<R>& reasoning_table() {
  static const FieldTable<R> table({
      {"effort", openai::effort_schema(),
       [](const Json& effort, R& of) -> ApiStatus {
         if (ApiStatus status = openai::read_reasoning_effort(effort, of); status) return {};
         return expected("effort", "none, minimal, low, medium, high, xhigh or max", effort);
       }},
      refused_field<R>("summary", {}, "not supported; the reasoning itself is in the output"),
      refused_field<R>("generate_summary", {}, "not supported; the reasoning itself is in the output"),
  });
  return table;
}

ApiStatus read_reasoning(const Json& value, R& request) {
  return reasoning_table().apply(value, request, "reasoning.");
}

// {"type": "text" | "json_object" | "json_schema", "name", "schema", …}
ApiStatus read_format(const Json& value, R& request) {
  if (!value.is_object()) return expected("format", "an object with a type", value);
  const Json type = value.value("type", Json());
  for (const auto& [key, item] : value.items()) {
    const bool is_known =
        type == "json_schema" && (key == "name" || key == "description" || key == "schema" || key == "strict");
    if (key != "type" && !is_known && !item.is_null())
      return refuse(400, fmt::format("format: unknown field '{}' for this type", key), "format." + key,
                    "unknown_parameter");
  }
  request.text_format = value;
  if (type == "text") return {};
  if (type == "json_object") return openai::set_json_schema({{"type", "object"}}, "text.format", request);
  if (type != "json_schema") return expected("format.type", "text, json_object or json_schema", type);
  const Json schema = value.value("schema", Json());
  RETORT_API_TRY(openai::set_json_schema(schema, "format.schema", request));
  request.grammar->field = "text.format";
  return {};
}

Json format_schema() {
  const Json nothing = type_schema("null");
  const Json free = {{"type", "object"},
                     {"properties", Json::object({{"type", words_schema({"text", "json_object"})}})},
                     {"required", {"type"}},
                     {"additionalProperties", nothing}};
  const Json bound = {{"type", "object"},
                      {"properties",
                       {{"type", words_schema({"json_schema"})},
                        {"schema", openai::schema_of_schemas()},
                        {"name", Json::object()},
                        {"description", Json::object()},
                        {"strict", Json::object()}}},
                      {"required", {"type", "schema"}},
                      {"additionalProperties", nothing}};
  return any_of({free, bound});
}

const FieldTable<R>& text_table() {
  static const FieldTable<R> table({
      {"format", format_schema(), read_format},
      refused_field<R>("verbosity", {"medium"}, "not supported"),
  });
  return table;
}

ApiStatus read_text(const Json& value, R& request) { return text_table().apply(value, request, "text."); }

Json choice_schema() {
  const Json named = {{"type", "object"},
                      {"properties", {{"type", {{"const", "function"}}}, {"name", text_schema()}}},
                      {"required", {"type", "name"}}};
  return any_of({words_schema({"none", "auto", "required"}), named});
}

}  // namespace

const std::vector<Field<R>>& form_fields() {
  static const std::vector<Field<R>> fields = {
      {"reasoning", described(reasoning_table().schema(), "How much to think; a summary is not supported."),
       read_reasoning},
      {"text", described(text_table().schema(), "The form of the answer."), read_text},
      {"tools", described(list_schema(tool_table().schema(), 0, kMostTools), "Functions that the model may call."),
       [](const Json& value, R& request) { return read_tools(value, tool_table(), request.tool_use); }},
      {"tool_choice",
       described(choice_schema(),
                 "auto, none, required or {\"type\": \"function\", \"name\"}; the last two are held to by a grammar."),
       read_tool_choice},
      openai::parallel_tool_calls_field(),
      refused_field<R>("max_tool_calls", {}, "not supported"),
  };
  return fields;
}

}  // namespace retort::responses
