// JSON out of files that are not trusted: held to a size and a depth, and the parser's exceptions made errors.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/result.h"

namespace retort {

struct JsonLimits {
  uint64_t max_bytes = 0;
  int max_depth = 0;                   // of objects and arrays inside each other
  bool refuse_duplicate_keys = false;  // else the last one counts, as in Python
};

// An object, or an error that begins with `where`, as in "[hf] config.json".
Result<nlohmann::json> parse_json_object(std::string_view text, const JsonLimits& limits, std::string_view where);

}  // namespace retort
