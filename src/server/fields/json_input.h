// JSON from outside: limits first, then nlohmann's parser.
#pragma once

#include <string_view>

#include "server/api_error.h"

namespace retort {

struct JsonInputLimits {
  int max_depth = 100;
  size_t max_values = 2'000'000;
  // Σ over objects of members². ordered_json compares each new key with those before it, so this bounds the parser's
  // time; one object may have 4,472.
  size_t max_key_comparisons = 20'000'000;
  bool refuses_repeated_keys = false;  // else the last of a key's values counts
};

// 400 with line and column for what is not JSON, naming the limit for what is over one, or the path of the key that
// stands in one object twice: "tools[0].function.name".
ApiResult<Json> parse_json(std::string_view text, const JsonInputLimits& limits = {});

// For output: text that is not valid UTF-8 gets U+FFFD.
std::string dump_json(const Json& json);

}  // namespace retort
