// How requests declare tools: what the APIs have in common of it.
#pragma once

#include <string_view>
#include <vector>

#include "server/fields/field_table.h"
#include "server/tools/tool_use.h"

namespace retort {

// name, description, strict, and the schema of the arguments, which the APIs name differently.
std::vector<Field<Tool>> tool_declaration_fields(std::string_view schema_name);
// The only type of tool there is: one that the caller runs.
Field<Tool> tool_type_field(std::string_view type);
// "tools": a list, each of which `table` reads.
ApiStatus read_tools(const Json& value, const FieldTable<Tool>& table, ToolUse& use);

}  // namespace retort
