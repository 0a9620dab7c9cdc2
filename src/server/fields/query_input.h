// Query parameters as the JSON that a field table reads.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "server/fields/json_input.h"

namespace retort {

// `schema` is the table's: a parameter that it calls a string is one, any other is written as JSON writes it ("0.5",
// "true"). What is not JSON either stays a string, and the table says what was expected. 400 for a name given twice.
ApiResult<Json> json_of_query(const std::vector<std::pair<std::string, std::string>>& query, const Json& schema);

}  // namespace retort
