#include "server/simple/generate_request.h"

#include "server/fields/query_input.h"

namespace retort::simple {
namespace {

using R = GenerateRequest;

std::vector<Field<R>> fields() {
  const R defaults;
  Field<R> prompt = string_field("prompt", &R::prompt, "What the model is asked.");
  prompt.required = true;
  return {
      std::move(prompt),
      int_field("max_tokens", &R::max_tokens, {1, 0x7fffffff}, defaults.max_tokens,
                "At most so many generated tokens. Never more than the context leaves."),
      number_field("temperature", &R::temperature, {0, 2}, 0.6, "0: greedy."),
      number_field("top_p", &R::top_p, {0, 1, true}, 0.95, "Nucleus sampling."),
  };
}

ApiStatus read_id(const Json& value, R& request) {
  if (!value.is_string() && !value.is_number_integer()) return expected("id", "a string or an integer", value);
  request.id = value;
  return {};
}

}  // namespace

const FieldTable<GenerateRequest>& generate_table() {
  static const FieldTable<R> table(fields());
  return table;
}

const FieldTable<GenerateRequest>& batch_item_table() {
  static const FieldTable<R> table = [] {
    const Json schema = {{"type", {"string", "integer"}},
                         {"description", "Comes back as request_id. Default: the place in the list, from 0."}};
    return FieldTable<R>({{"id", schema, read_id}}).with(fields());
  }();
  return table;
}

ApiResult<GenerateRequest> parse_generate_request(const Json& body, const http::Parameters& query) {
  if (!body.is_object()) return expected_body("an object", body);
  RETORT_API_ASSIGN(Json given, json_of_query(query, generate_table().schema()));
  for (const auto& [name, value] : body.items()) {
    if (given.contains(name)) return refuse(400, fmt::format("{}: given in the query and in the body", name), name);
    given[name] = value;
  }
  if (given.empty())
    return refuse(400, "prompt: missing; send a JSON body that has it, or ?prompt=… in the path", "prompt");
  GenerateRequest request;
  RETORT_API_TRY(generate_table().apply(given, request));
  return request;
}

ApiResult<std::vector<GenerateRequest>> parse_batch(const Json& body) {
  if (!body.is_array()) return expected_body("a list of objects with a prompt", body);
  if (body.empty() || body.size() > kMaxItems)
    return expected_body(fmt::format("1 to {} prompts", kMaxItems), Json(body.size()));
  std::vector<GenerateRequest> requests(body.size());
  for (size_t i = 0; i < body.size(); ++i) {
    RETORT_API_TRY(batch_item_table().apply(body[i], requests[i], fmt::format("[{}].", i)));
    if (requests[i].id.is_null()) requests[i].id = i;
  }
  return requests;
}

}  // namespace retort::simple
