#include "server/openai/tools.h"

#include "server/tools/tool_fields.h"

namespace retort::openai {
namespace {

const FieldTable<Tool>& function_table() {
  static const FieldTable<Tool> table(tool_declaration_fields("parameters"));
  return table;
}

struct Envelope {
  std::string type;
  Json function;
};

const FieldTable<Envelope>& envelope_table() {
  static const FieldTable<Envelope> table({{"type",
                                            {{"const", "function"}},
                                            [](const Json& value, Envelope& envelope) -> ApiStatus {
                                              if (value != "function") return expected("type", "function", value);
                                              envelope.type = value;
                                              return {};
                                            },
                                            true},
                                           {"function", function_table().schema(),
                                            [](const Json& value, Envelope& envelope) -> ApiStatus {
                                              envelope.function = value;
                                              return {};
                                            },
                                            true},
                                           ignored_field<Envelope>("cache_control", "The prefix cache needs none.")});
  return table;
}

struct ChosenName {
  std::string name;
};

const FieldTable<ChosenName>& chosen_table() {
  static const FieldTable<ChosenName> table = [] {
    Field<ChosenName> name = string_field("name", &ChosenName::name, "");
    name.required = true;
    return FieldTable<ChosenName>({std::move(name)});
  }();
  return table;
}

Json named_choice_schema() {
  return {{"type", "object"},
          {"properties", {{"type", {{"const", "function"}}}, {"function", chosen_table().schema()}}},
          {"required", {"type", "function"}}};
}

ApiStatus read_named_choice(const Json& value, ToolUse& use) {
  const Json type = value.value("type", Json());
  if (type != "function")
    return refuse(400, fmt::format("tool_choice.type: expected function, got {}", type.dump()), "tool_choice.type",
                  "unsupported_parameter");
  ChosenName chosen;
  RETORT_API_TRY(chosen_table().apply(value.value("function", Json()), chosen, "tool_choice.function."));
  use.choice = ToolChoice::kNamed;
  use.chosen = std::move(chosen.name);
  return {};
}

ApiStatus read_tool_choice(const Json& value, ChatRequest& request) {
  ToolUse& use = request.tool_use;
  if (value.is_object()) return read_named_choice(value, use);
  if (read_choice_word(value, use)) return {};
  return expected("tool_choice", "none, auto, required or {\"type\": \"function\", \"function\": {\"name\"}}", value);
}

}  // namespace

bool read_choice_word(const Json& value, ToolUse& use) {
  if (value == "auto")
    use.choice = ToolChoice::kAuto;
  else if (value == "none")
    use.choice = ToolChoice::kNone;
  else if (value == "required")
    use.choice = ToolChoice::kRequired;
  else
    return false;
  return true;
}

Field<ChatRequest> parallel_tool_calls_field() {
  return {"parallel_tool_calls",
          {{"type", "boolean"}, {"default", true}, {"description", "Whether one answer may make several calls."}},
          [](const Json& value, ChatRequest& request) -> ApiStatus {
            RETORT_API_ASSIGN(request.tool_use.parallel, read_bool(value, "parallel_tool_calls"));
            return {};
          }};
}

Json tools_schema() {
  return described(list_schema(envelope_table().schema(), 0, kMostTools), "Functions that the model may call.");
}

ApiStatus read_tools(const Json& value, ToolUse& use) {
  if (!value.is_array()) return expected("tools", "a list of tools", value);
  for (size_t i = 0; i < value.size(); ++i) {
    const std::string path = fmt::format("tools[{}]", i);
    Envelope envelope;
    RETORT_API_TRY(envelope_table().apply(value[i], envelope, path + "."));
    Tool tool{.name = {}, .description = {}, .path = path + ".function"};
    RETORT_API_TRY(function_table().apply(envelope.function, tool, path + ".function."));
    RETORT_API_TRY(add_tool(std::move(tool), use));
  }
  return {};
}

const std::vector<Field<ChatRequest>>& tool_fields() {
  static const std::vector<Field<ChatRequest>> fields = {
      {"tools", tools_schema(),
       [](const Json& value, ChatRequest& request) { return read_tools(value, request.tool_use); }},
      {"tool_choice",
       described(any_of({words_schema({"none", "auto", "required"}), named_choice_schema()}),
                 "auto: the model decides; none: no tools; required: at least one call; {\"type\": \"function\", "
                 "\"function\": "
                 "{\"name\"}}: a call of this one. The last two are held to by a grammar, after </think>."),
       read_tool_choice},
      parallel_tool_calls_field(),
  };
  return fields;
}

}  // namespace retort::openai
