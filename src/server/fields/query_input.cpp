#include "server/fields/query_input.h"

namespace retort {
namespace {

Json value_of(const std::string& text, const Json& schema) {
  if (schema.value("type", Json()) == "string") return text;  // a field that must be there, and so is never null
  ApiResult<Json> value = parse_json(text);
  return value ? std::move(*value) : Json(text);
}

}  // namespace

ApiResult<Json> json_of_query(const std::vector<std::pair<std::string, std::string>>& query, const Json& schema) {
  const Json& properties = schema["properties"];
  Json json = Json::object();
  for (const auto& [name, text] : query) {
    if (json.contains(name)) return refuse(400, fmt::format("{}: given twice in the query", name), name);
    json[name] = value_of(text, properties.value(name, Json::object()));
  }
  return json;
}

}  // namespace retort
