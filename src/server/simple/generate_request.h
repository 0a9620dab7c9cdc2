// What POST /generate and an item of POST /generate-batch may hold.
#pragma once

#include <string>
#include <vector>

#include "server/fields/field_table.h"
#include "server/http/message.h"

namespace retort::simple {

inline constexpr size_t kMaxItems = 1024;  // of a batch

struct GenerateRequest {
  std::string prompt;
  int max_tokens = 2048;
  float temperature = 0.6f, top_p = 0.95f;  // what the R1 models' makers recommend
  Json id;                                  // of a batch's item: comes back with its answer
};

const FieldTable<GenerateRequest>& generate_table();
const FieldTable<GenerateRequest>& batch_item_table();

// Fields from the body, from the query, or some from each; a name in both is refused.
ApiResult<GenerateRequest> parse_generate_request(const Json& body, const http::Parameters& query);
// A list of items; one without an id gets its place in the list.
ApiResult<std::vector<GenerateRequest>> parse_batch(const Json& body);

}  // namespace retort::simple
