#include "server/tools/tool_fields.h"

#include <algorithm>

namespace retort {
namespace {

// A schema of something else describes no arguments.
bool allows_objects(const Json& schema) {
  if (!schema.is_object()) return false;
  const auto type = schema.find("type");
  if (type == schema.end()) return true;
  return *type == "object" ||
         (type->is_array() && std::find(type->begin(), type->end(), Json("object")) != type->end());
}

Json arguments_schema_schema() {
  const Json among_others = {{"type", "array"}, {"contains", {{"const", "object"}}}};
  return {{"type", "object"},
          {"properties", {{"type", any_of({Json::object({{"const", "object"}}), among_others})}}},
          {"description", "A JSON schema of its arguments, which are an object."}};
}

}  // namespace

std::vector<Field<Tool>> tool_declaration_fields(std::string_view schema_name) {
  Field<Tool> name = string_field("name", &Tool::name, "What the model calls it.");
  name.required = true;
  name.schema["pattern"] = "^[A-Za-z0-9_.:/-]{1,128}$";
  return {
      std::move(name),
      string_field("description", &Tool::description, "What it does, for the model to know."),
      {std::string(schema_name), arguments_schema_schema(),
       [key = std::string(schema_name)](const Json& value, Tool& tool) -> ApiStatus {
         if (!allows_objects(value)) return expected(key, "a JSON schema of type object", value);
         tool.parameters = value;
         tool.schema_name = key;
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
