// What the JSON body of an endpoint may hold, in one table: name, schema (type, range, default), doc, and how a value
// is applied. The table parses requests, words the 400s and is the source of the OpenAPI document.
#pragma once

#include <cmath>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "server/fields/schema.h"
#include "server/fields/values.h"

namespace retort {

template <class Request>
struct Field {
  std::string name;
  Json schema;                                                          // JSON Schema of the value
  std::function<ApiStatus(const Json& value, Request& request)> apply;  // never sees null: that is "not given"
  bool required = false;
  bool is_honoured = true;  // false: known, to be refused by name

  // A field of a base class is a field of the request.
  template <class Derived>
  operator Field<Derived>() const {
    static_assert(std::is_base_of_v<Request, Derived>);
    return {name, schema, apply, required, is_honoured};
  }
};

template <class Request>
class FieldTable {
 public:
  explicit FieldTable(std::vector<Field<Request>> fields) : fields_(std::move(fields)) {}

  // The same and more fields; `Base` is Request or a base class of it.
  template <class Base>
  FieldTable&& with(const std::vector<Field<Base>>& more) && {
    fields_.insert(fields_.end(), more.begin(), more.end());
    return std::move(*this);
  }

  // `path`: what stands before the names in messages, "messages[0]."; empty for the body itself.
  ApiStatus apply(const Json& body, Request& request, std::string_view path = {}) const {
    if (!body.is_object())
      return path.empty() ? expected_body("an object", body)
                          : expected(path.substr(0, path.size() - 1), "an object", body);
    for (const auto& [name, value] : body.items()) {
      if (value.is_null()) continue;
      const Field<Request>* field = find(name);
      if (field == nullptr) return unknown(name, path);
      if (ApiStatus status = field->apply(value, request); !status) return within(std::move(status).error(), path);
    }
    for (const Field<Request>& field : fields_) {
      if (!field.required) continue;
      if (const auto it = body.find(field.name); it == body.end() || it->is_null())
        return refuse(400, fmt::format("{}{}: required, and missing", path, field.name),
                      std::string(path) + field.name);
    }
    return {};
  }

  Json schema() const {
    Json properties = Json::object(), required = Json::array();
    for (const Field<Request>& field : fields_) {
      properties[field.name] = field.required ? field.schema : or_null(field.schema);
      if (field.required) required.push_back(field.name);
    }
    Json schema = {{"type", "object"},
                   {"properties", std::move(properties)},
                   {"additionalProperties", Json::object({{"type", "null"}})}};
    if (!required.empty()) schema["required"] = std::move(required);
    return schema;
  }

 private:
  const Field<Request>* find(std::string_view name) const {
    for (const Field<Request>& field : fields_)
      if (field.name == name) return &field;
    return nullptr;
  }

  tl::unexpected<ApiError> unknown(const std::string& name, std::string_view path) const {
    std::vector<std::string_view> names;
    for (const Field<Request>& field : fields_)
      if (field.is_honoured) names.push_back(field.name);
    const std::string_view near = nearest_name(name, names);
    const std::string where = path.empty() ? "" : fmt::format("{}: ", path.substr(0, path.size() - 1));
    const std::string hint = near.empty() ? "" : fmt::format(" (did you mean '{}'?)", near);
    return refuse(400, fmt::format("{}unknown field '{}'{}", where, name, hint), std::string(path) + name,
                  "unknown_parameter");
  }

  static tl::unexpected<ApiError> within(ApiError error, std::string_view path) {
    error.message.insert(0, path);
    if (!error.log_message.empty()) error.log_message.insert(0, path);
    error.param.insert(0, path);
    return tl::unexpected<ApiError>(std::move(error));
  }

  std::vector<Field<Request>> fields_;
};

template <class T>
struct WithoutOptionalOf {
  using type = T;
};
template <class T>
struct WithoutOptionalOf<std::optional<T>> {
  using type = T;
};
template <class T>
using WithoutOptional = typename WithoutOptionalOf<T>::type;

// The kinds of fields. `member` is where the value goes: the plain type or an optional of it.

template <class Request, class Value>
Field<Request> number_field(std::string_view name, Value Request::* member, NumberRange range, Json default_value,
                            std::string_view doc) {
  Json schema = {{"type", "number"}, {"description", doc}};
  if (std::isfinite(range.min)) schema[range.exclusive_min ? "exclusiveMinimum" : "minimum"] = range.min;
  if (std::isfinite(range.max)) schema["maximum"] = range.max;
  if (!default_value.is_null()) schema["default"] = std::move(default_value);
  return {std::string(name), std::move(schema),
          [=, name = std::string(name)](const Json& value, Request& request) -> ApiStatus {
            RETORT_API_ASSIGN(const double number, read_number(value, name, range));
            const auto rounded = static_cast<float>(number);
            const bool has_vanished = range.exclusive_min && rounded <= range.min;  // 1e-50 is above 0, its float is 0
            request.*member = has_vanished ? std::nextafter(rounded, 1e30f) : rounded;
            return {};
          }};
}

template <class Request, class Value>
Field<Request> int_field(std::string_view name, Value Request::* member, IntRange range, Json default_value,
                         std::string_view doc) {
  constexpr IntRange kAll;
  Json schema = {{"type", "integer"}, {"description", doc}};
  if (range.min != kAll.min) schema["minimum"] = range.min;
  if (range.max != kAll.max) schema["maximum"] = range.max;
  if (!default_value.is_null()) schema["default"] = std::move(default_value);
  return {std::string(name), std::move(schema),
          [=, name = std::string(name)](const Json& value, Request& request) -> ApiStatus {
            RETORT_API_ASSIGN(const int64_t number, read_int(value, name, range));
            request.*member = static_cast<WithoutOptional<Value>>(number);
            return {};
          }};
}

template <class Request, class Value>
Field<Request> bool_field(std::string_view name, Value Request::* member, Json default_value, std::string_view doc) {
  Json schema = {{"type", "boolean"}, {"description", doc}};
  if (!default_value.is_null()) schema["default"] = std::move(default_value);
  return {std::string(name), std::move(schema),
          [=, name = std::string(name)](const Json& value, Request& request) -> ApiStatus {
            RETORT_API_ASSIGN(request.*member, read_bool(value, name));
            return {};
          }};
}

template <class Request>
Field<Request> string_field(std::string_view name, std::string Request::* member, std::string_view doc) {
  return {std::string(name),
          {{"type", "string"}, {"description", doc}},
          [=, name = std::string(name)](const Json& value, Request& request) -> ApiStatus {
            RETORT_API_ASSIGN(request.*member, read_string(value, name));
            return {};
          }};
}

template <class Request>
Field<Request> token_ids_field(std::string_view name, std::vector<int32_t> Request::* member, std::string_view doc) {
  return {std::string(name), described(list_schema(token_id_schema()), doc),
          [=, name = std::string(name)](const Json& value, Request& request) -> ApiStatus {
            RETORT_API_ASSIGN(request.*member, read_token_ids(value, name));
            return {};
          }};
}

// What the SDKs send and what changes no answer.
template <class Request>
Field<Request> ignored_field(std::string_view name, std::string_view doc) {
  Json schema = Json::object({{"description", fmt::format("Accepted and ignored. {}", doc)}});
  return {std::string(name), std::move(schema), [](const Json&, Request&) -> ApiStatus { return {}; }};
}

// A field that is known and not honoured: any value but `neutral` ones, which ask for nothing, is refused by name.
template <class Request>
Field<Request> refused_field(std::string_view name, std::vector<Json> neutral = {},
                             std::string_view why = "not supported yet") {
  Json schema = {{"enum", neutral}, {"description", fmt::format("Only so: {}.", why)}};
  return {std::string(name), std::move(schema),
          [=, name = std::string(name), why = std::string(why)](const Json& value, Request&) -> ApiStatus {
            for (const Json& harmless : neutral)
              if (value == harmless) return {};
            return refuse(400, fmt::format("{}: {}", name, why), name, "unsupported_parameter");
          },
          false, false};
}

}  // namespace retort
