#include "server/openai/structured_output.h"

#include "server/fields/json_input.h"

namespace retort::openai {
namespace {

using Request = GenerateRequest;

constexpr size_t kMaxChoices = 10'000;

ApiStatus set_grammar(GrammarKind kind, std::string text, std::string_view field, Request& request) {
  if (request.grammar)
    return refuse(
        400, fmt::format("{}: expected at most one form for the answer, got {} as well", field, request.grammar->field),
        std::string(field));
  request.grammar = {.kind = kind, .text = std::move(text), .field = std::string(field)};
  return {};
}

ApiStatus set_text(GrammarKind kind, const Json& value, std::string_view field, Request& request) {
  RETORT_API_ASSIGN(std::string text, read_string(value, field));
  if (text.empty()) return expected(field, "a string that is not empty", value);
  return set_grammar(kind, std::move(text), field, request);
}

ApiStatus set_choice(const Json& value, std::string_view field, Request& request) {
  RETORT_API_ASSIGN(const auto choices, read_strings(value, field, kMaxChoices));
  if (choices.empty()) return expected(field, "at least one choice", value);
  for (size_t i = 0; i < choices.size(); ++i)
    if (choices[i].empty()) return expected(fmt::format("{}[{}]", field, i), "a string that is not empty", value[i]);
  return set_grammar(GrammarKind::kChoice, dump_json(value), field, request);
}

ApiStatus set_json_object(const Json& value, std::string_view field, Request& request) {
  RETORT_API_ASSIGN(const bool asked, read_bool(value, field));
  return asked ? set_json_schema({{"type", "object"}}, field, request) : ApiStatus();
}

ApiStatus set_lark(const Json& value, std::string_view field, Request& request) {
  return set_text(GrammarKind::kLark, value, field, request);
}

ApiStatus set_regex(const Json& value, std::string_view field, Request& request) {
  return set_text(GrammarKind::kRegex, value, field, request);
}

ApiStatus read_json_schema_format(const Json& value, Request& request) {
  constexpr std::string_view kPath = "response_format.json_schema";
  if (!value.is_object()) return expected(kPath, "an object with a schema", value);
  for (const auto& [key, item] : value.items()) {
    if (key == "name" || key == "description") {
      RETORT_API_TRY(item.is_null() ? ApiResult<std::string>() : read_string(item, fmt::format("{}.{}", kPath, key)));
    } else if (key == "strict") {  // always held to, whether strict or not
      RETORT_API_TRY(item.is_null() ? ApiResult<bool>() : read_bool(item, fmt::format("{}.strict", kPath)));
    } else if (key != "schema") {
      return refuse(400, fmt::format("{}: unknown field '{}'", kPath, key), fmt::format("{}.{}", kPath, key));
    }
  }
  const Json schema = value.value("schema", Json());
  return set_json_schema(schema.is_null() ? Json({{"type", "object"}}) : schema, "response_format", request);
}

using Set = ApiStatus (*)(const Json&, std::string_view, Request&);

// Under its new name within structured_outputs, and its older one.
struct Form {
  std::string_view name, guided_name;
  Set set;
  Json schema;
  std::string_view doc;
};

const std::vector<Form>& forms() {
  static const std::vector<Form> forms = {
      {"json", "guided_json", set_json_schema, schema_of_schemas(), "JSON that a schema describes."},
      {"regex", "guided_regex", set_regex, text_not_empty_schema(),
       "Text that a regular expression matches as a whole."},
      {"choice", "guided_choice", set_choice, list_schema(text_not_empty_schema(), 1, kMaxChoices),
       "One of these strings."},
      {"grammar", "guided_grammar", set_lark, text_not_empty_schema(), "A grammar in Lark's notation or in GBNF."},
      {"json_object", "guided_json_object", set_json_object, type_schema("boolean"), "Any JSON object."},
  };
  return forms;
}

ApiStatus read_structured_outputs(const Json& value, Request& request) {
  if (!value.is_object()) return expected("structured_outputs", "an object", value);
  bool is_asked = false;
  for (const auto& [key, item] : value.items()) {
    const std::string path = fmt::format("structured_outputs.{}", key);
    const auto form = std::find_if(forms().begin(), forms().end(), [&](const Form& f) { return f.name == key; });
    const bool is_schema = key == "json";  // which false is too
    if (item.is_null() || (item == false && !is_schema)) continue;
    if (form == forms().end())
      return refuse(400, fmt::format("{}: not supported; expected json, regex, choice, grammar or json_object", path),
                    path, "unsupported_parameter");
    RETORT_API_TRY(form->set(item, path, request));
    is_asked = true;
  }
  if (is_asked) return {};
  return expected("structured_outputs", "one of json, regex, choice, grammar and json_object", value);
}

Json response_format_schema() {
  const Json form = {{"type", {"object", "null"}},
                     {"properties",
                      {{"name", or_null(text_schema())},
                       {"description", or_null(text_schema())},
                       {"strict", or_null(type_schema("boolean"))},
                       {"schema", or_null(schema_of_schemas())}}},
                     {"additionalProperties", false}};
  const Json without = {
      {"properties", {{"type", words_schema({"text", "json_object"})}, {"json_schema", type_schema("null")}}}};
  const Json with = {{"properties", {{"type", words_schema({"json_schema"})}, {"json_schema", type_schema("object")}}},
                     {"required", {"json_schema"}}};
  return {{"type", "object"},
          {"properties", {{"type", words_schema({"text", "json_object", "json_schema"})}, {"json_schema", form}}},
          {"required", {"type"}},
          {"anyOf", {without, with}},
          {"additionalProperties", type_schema("null")},
          {"description", "What the answer must be: text, any JSON object, or JSON that a schema describes."}};
}

Json structured_outputs_schema() {
  Json properties = Json::object(), one = Json::array();
  const Json no = Json::object({{"enum", {false, nullptr}}});
  for (const Form& form : forms()) {
    const Json off = form.name == "json" ? type_schema("null") : no;
    properties[std::string(form.name)] = described(any_of({form.schema, off}), form.doc);
    const Json on = Json::object({{std::string(form.name), Json::object({{"not", off}})}});
    one.push_back({{"properties", on}, {"required", {form.name}}});
  }
  return {{"type", "object"},
          {"properties", std::move(properties)},
          {"additionalProperties", no},
          {"anyOf", std::move(one)},
          {"description", "One of these forms."}};
}

}  // namespace

Json schema_of_schemas() {
  return any_of({type_schema("object"), Json::object({{"const", true}}), type_schema("string")});
}

ApiStatus set_json_schema(const Json& schema, std::string_view field, Request& request) {
  Json parsed = schema;
  if (schema.is_string()) {
    ApiResult<Json> text = parse_json(schema.get_ref<const std::string&>(), {.refuses_repeated_keys = true});
    if (!text && !text.error().param.empty())
      return refuse(400, fmt::format("{}: expected every key once, {} is there twice", field, text.error().param),
                    std::string(field));
    if (!text) return expected(field, "a JSON schema or its text", schema);
    parsed = *std::move(text);
  }
  if (parsed == false) return expected(field, "a JSON schema that something fits", schema);
  if (!parsed.is_object() && !parsed.is_boolean()) return expected(field, "a JSON schema", schema);
  return set_grammar(GrammarKind::kJsonSchema, dump_json(parsed), field, request);
}

ApiStatus read_response_format(const Json& value, Request& request) {
  if (!value.is_object()) return expected("response_format", "an object with a type", value);
  const Json type = value.value("type", Json());
  for (const auto& [key, item] : value.items())
    if (key != "type" && !(key == "json_schema" && type == "json_schema") && !item.is_null())
      return refuse(400, fmt::format("response_format: unknown field '{}' for this type", key),
                    fmt::format("response_format.{}", key));
  if (type == "text") return {};
  if (type == "json_object") return set_json_schema({{"type", "object"}}, "response_format", request);
  if (type == "json_schema") return read_json_schema_format(value.value("json_schema", Json()), request);
  return expected("response_format.type", "text, json_object or json_schema", type);
}

Field<Request> response_format_field() { return {"response_format", response_format_schema(), read_response_format}; }

const std::vector<Field<Request>>& structured_output_fields() {
  static const std::vector<Field<Request>> fields = [] {
    std::vector<Field<Request>> all = {
        {"structured_outputs", structured_outputs_schema(), read_structured_outputs},
        ignored_field<Request>("guided_decoding_backend", "There is one."),
        refused_field<Request>("guided_whitespace_pattern", {}, "not supported"),
    };
    for (const Form& form : forms()) {
      Json schema = described(form.schema, fmt::format("The older name of structured_outputs.{}.", form.name));
      all.push_back({std::string(form.guided_name), std::move(schema), [&form](const Json& value, Request& request) {
                       return form.set(value, form.guided_name, request);
                     }});
    }
    return all;
  }();
  return fields;
}

}  // namespace retort::openai
