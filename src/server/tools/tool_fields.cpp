#include "server/tools/tool_fields.h"

namespace retort {

std::vector<Field<Tool>> tool_declaration_fields(std::string_view schema_name) {
  Field<Tool> name = string_field("name", &Tool::name, "What the model calls it.");
  name.required = true;
  name.schema["pattern"] = "^[A-Za-z0-9_.:/-]{1,128}$";
  return {
      std::move(name),
      string_field("description", &Tool::description, "What it does, for the model to know."),
      {std::string(schema_name),
       {{"type", "object"}, {"description", "A JSON schema of its arguments."}},
       [key = std::string(schema_name)](const Json& value, Tool& tool) -> ApiStatus {
         if (!value.is_object()) return expected(key, "a JSON schema of type object", value);
         tool.parameters = value;
         return {};
       }},
      bool_field("strict", &Tool::strict, false, "Hold calls to the schema; one that cannot be held to is refused."),
  };
}

Field<Tool> tool_type_field(std::string_view type) {
  return {"type", {{"const", type}}, [type = std::string(type)](const Json& value, Tool&) -> ApiStatus {
            if (value == type) return {};
            return refuse(
                400,
                fmt::format("type: expected {}, got {}; there are no tools of the server's own", type, value.dump()),
                "type", "unsupported_parameter");
          }};
}

ApiStatus read_tools(const Json& value, const FieldTable<Tool>& table, ToolUse& use) {
  if (!value.is_array()) return expected("tools", "a list of tools", value);
  for (size_t i = 0; i < value.size(); ++i) {
    Tool tool{.name = {}, .description = {}, .path = fmt::format("tools[{}]", i)};
    RETORT_API_TRY(table.apply(value[i], tool, tool.path + "."));
    RETORT_API_TRY(add_tool(std::move(tool), use));
  }
  return {};
}

}  // namespace retort
