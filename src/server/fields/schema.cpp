#include "server/fields/schema.h"

#include "server/fields/values.h"

namespace retort {

Json or_null(Json schema) {
  if (schema.empty()) return schema;  // anything, null too
  if (const auto constant = schema.find("const"); constant != schema.end()) {
    schema["enum"] = Json::array({*constant});
    schema.erase("const");
  }
  if (const auto type = schema.find("type"); type != schema.end()) {
    if (!type->is_array()) *type = Json::array({*type});
    type->push_back("null");
  }
  if (const auto values = schema.find("enum"); values != schema.end()) values->push_back(nullptr);
  if (const auto kinds = schema.find("anyOf"); kinds != schema.end()) kinds->push_back(type_schema("null"));
  return schema;
}

Json described(Json schema, std::string_view doc) {
  schema["description"] = doc;
  return schema;
}

Json type_schema(std::string_view type) { return Json::object({{"type", type}}); }
Json words_schema(std::initializer_list<const char*> words) { return Json::object({{"enum", Json(words)}}); }
Json text_schema() { return type_schema("string"); }
Json text_not_empty_schema() { return {{"type", "string"}, {"minLength", 1}}; }

Json list_schema(Json items, size_t min_items, size_t max_items) {
  Json schema = {{"type", "array"}, {"items", std::move(items)}};
  if (min_items > 0) schema["minItems"] = min_items;
  if (max_items > 0) schema["maxItems"] = max_items;
  return schema;
}

Json any_of(std::initializer_list<Json> schemas) { return Json::object({{"anyOf", std::vector<Json>(schemas)}}); }

Json token_id_schema() { return {{"type", "integer"}, {"minimum", 0}, {"maximum", kMaxInt}}; }

Json prompts_schema(size_t max_prompts) {
  const Json one = any_of({text_schema(), list_schema(token_id_schema())});
  return any_of({text_schema(), list_schema(token_id_schema(), 1), list_schema(one, 1, max_prompts)});
}

}  // namespace retort
