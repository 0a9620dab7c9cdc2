// Reads one JSON value as what a field needs. Errors read `temperature: expected a number from 0 to 2, got "hot"`;
// `path` names the value as a client would write it: "stop[2]".
#pragma once

#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "server/api_error.h"

namespace retort {

struct NumberRange {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool exclusive_min = false;
};

struct IntRange {
  int64_t min = std::numeric_limits<int64_t>::min();
  int64_t max = std::numeric_limits<int64_t>::max();
};

inline constexpr int64_t kMaxInt = 0x7fffffff;  // of a field that is kept as an int

// "temperature: expected a number from 0 to 2, got "hot"": a 400 whose param is the path.
tl::unexpected<ApiError> expected(std::string_view path, std::string_view what, const Json& got);

// The same of the body as a whole, which is no field: the param is null.
tl::unexpected<ApiError> expected_body(std::string_view what, const Json& got);

std::string describe(const NumberRange& range);  // "a number from 0 to 2"
std::string describe(const IntRange& range);     // "an integer from 1 to 64"

ApiResult<bool> read_bool(const Json& value, std::string_view path);
ApiResult<double> read_number(const Json& value, std::string_view path, const NumberRange& range);
ApiResult<int64_t> read_int(const Json& value, std::string_view path, const IntRange& range);  // 5.0 is an integer too
ApiResult<std::string> read_string(const Json& value, std::string_view path);
ApiResult<std::vector<std::string>> read_strings(const Json& value, std::string_view path, size_t max_items);
ApiResult<std::vector<int32_t>> read_token_ids(const Json& value, std::string_view path);

// The one of `names` that was probably meant, empty when none is near.
std::string_view nearest_name(std::string_view name, const std::vector<std::string_view>& names);

}  // namespace retort
