#include "server/fields/values.h"

#include <algorithm>
#include <cmath>

#include "server/fields/json_input.h"

namespace retort {
namespace {

constexpr size_t kMaxQuotedBytes = 60;

std::string quote(const Json& value) {
  std::string text = dump_json(value.is_structured() && value.size() > 20 ? Json(value.type_name()) : value);
  if (text.size() <= kMaxQuotedBytes) return text;
  size_t end = kMaxQuotedBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // not within a character
  return text.substr(0, end) + "…";
}

}  // namespace

tl::unexpected<ApiError> expected(std::string_view path, std::string_view what, const Json& got) {
  std::string message = fmt::format("{}: expected {}", path, what);
  return tl::unexpected<ApiError>({.status = 400,
                                   .message = fmt::format("{}, got {}", message, quote(got)),
                                   .param = std::string(path),
                                   .log_message = message});
}

tl::unexpected<ApiError> expected_body(std::string_view what, const Json& got) {
  auto error = expected("the body", what, got);
  error.value().param.clear();
  return error;
}

std::string describe(const NumberRange& range) {
  const bool has_max = std::isfinite(range.max);
  if (!std::isfinite(range.min)) return has_max ? fmt::format("a number of at most {}", range.max) : "a number";
  const std::string_view from = range.exclusive_min ? "above" : has_max ? "from" : "of at least";
  if (!has_max) return fmt::format("a number {} {}", from, range.min);
  return fmt::format("a number {} {} {} {}", from, range.min, range.exclusive_min ? "and at most" : "to", range.max);
}

std::string describe(const IntRange& range) { return fmt::format("an integer from {} to {}", range.min, range.max); }

ApiResult<bool> read_bool(const Json& value, std::string_view path) {
  if (!value.is_boolean()) return expected(path, "true or false", value);
  return value.get<bool>();
}

ApiResult<double> read_number(const Json& value, std::string_view path, const NumberRange& range) {
  const double number = value.is_number() ? value.get<double>() : std::nan("");
  const bool fits = number >= range.min && number <= range.max && !(range.exclusive_min && number == range.min);
  if (!fits || !std::isfinite(number)) return expected(path, describe(range), value);
  return number;
}

ApiResult<int64_t> read_int(const Json& value, std::string_view path, const IntRange& range) {
  constexpr double kExactDouble = 9007199254740992.0;  // 2^53
  int64_t number = 0;
  bool is_integer = false;
  if (value.is_number_unsigned()) {
    is_integer = value.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    if (is_integer) number = value.get<int64_t>();
  } else if (value.is_number_integer()) {
    is_integer = true;
    number = value.get<int64_t>();
  } else if (value.is_number_float()) {
    const double real = value.get<double>();
    is_integer = std::abs(real) <= kExactDouble && real == std::trunc(real);
    if (is_integer) number = static_cast<int64_t>(real);
  }
  if (!is_integer || number < range.min || number > range.max) return expected(path, describe(range), value);
  return number;
}

ApiResult<std::string> read_string(const Json& value, std::string_view path) {
  if (!value.is_string()) return expected(path, "a string", value);
  return value.get<std::string>();
}

ApiResult<std::vector<std::string>> read_strings(const Json& value, std::string_view path, size_t max_items) {
  if (!value.is_array()) return expected(path, "a list of strings", value);
  if (value.size() > max_items) return expected(path, fmt::format("at most {} strings", max_items), Json(value.size()));
  std::vector<std::string> strings;
  for (size_t i = 0; i < value.size(); ++i) {
    RETORT_API_ASSIGN(std::string item, read_string(value[i], fmt::format("{}[{}]", path, i)));
    strings.push_back(std::move(item));
  }
  return strings;
}

ApiResult<std::vector<int32_t>> read_token_ids(const Json& value, std::string_view path) {
  if (!value.is_array()) return expected(path, "a list of token ids", value);
  std::vector<int32_t> ids;
  ids.reserve(value.size());
  for (size_t i = 0; i < value.size(); ++i) {
    const auto id = read_int(value[i], {}, {0, kMaxInt});
    if (!id) return expected(fmt::format("{}[{}]", path, i), "a token id", value[i]);
    ids.push_back(static_cast<int32_t>(*id));
  }
  return ids;
}

std::string_view nearest_name(std::string_view name, const std::vector<std::string_view>& names) {
  constexpr size_t kLongestName = 64;  // what is longer is no misspelling of ours
  if (name.size() > kLongestName) return {};
  std::string_view best;
  size_t best_distance = std::max<size_t>(1, name.size() / 3) + 1;
  std::vector<size_t> row;
  for (const std::string_view candidate : names) {
    row.resize(candidate.size() + 1);  // Levenshtein distance of the first i characters to each prefix of candidate
    for (size_t j = 0; j < row.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= name.size(); ++i) {
      size_t diagonal = std::exchange(row[0], i);
      for (size_t j = 1; j <= candidate.size(); ++j) {
        const size_t replaced = diagonal + (name[i - 1] == candidate[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

}  // namespace retort
