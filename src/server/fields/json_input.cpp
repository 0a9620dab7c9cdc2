#include "server/fields/json_input.h"

#include <set>
#include <vector>

namespace retort {
namespace {

// The position after the string that opens at text[at] == '"'.
size_t skip_string(std::string_view text, size_t at) {
  for (++at; at < text.size(); ++at) {
    if (text[at] == '\\')
      ++at;
    else if (text[at] == '"')
      return at + 1;
  }
  return text.size();
}

// Walks over brackets and commas alone; whether the rest is JSON is the parser's question. Returns how many members the
// outermost object or array has.
ApiResult<size_t> check_limits(std::string_view text, const JsonInputLimits& limits) {
  std::vector<size_t> members;  // of each open object or array
  size_t num_values = 1, num_comparisons = 0, num_outermost = 0;
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == '"') {
      at = skip_string(text, at);
      continue;
    }
    if (c == '{' || c == '[') {
      members.push_back(1);
      ++num_values;
      if (members.size() > static_cast<size_t>(limits.max_depth))
        return refuse(400, fmt::format("the JSON body is nested deeper than {} levels", limits.max_depth));
    } else if (c == ',') {
      if (!members.empty()) ++members.back();
      ++num_values;
    } else if ((c == '}' || c == ']') && !members.empty()) {
      if (c == '}') num_comparisons += members.back() * members.back();
      if (members.size() == 1) num_outermost = members.back();
      members.pop_back();
    }
    if (num_values > limits.max_values)
      return refuse(400, fmt::format("the JSON body has more than {} values", limits.max_values));
    if (num_comparisons > limits.max_key_comparisons)
      return refuse(400, "the JSON body has objects with too many keys");
    ++at;
  }
  // An object that is never closed is not JSON, but the parser would read it to its end first.
  for (const size_t count : members) num_comparisons += count * count;
  if (num_comparisons > limits.max_key_comparisons) return refuse(400, "the JSON body has objects with too many keys");
  return num_outermost;
}

// The parser keeps the last of a key's values, and says nothing.
std::string repeated_key(std::string_view text) {
  std::set<std::string> seen;
  std::string repeated;
  const auto note = [&](int depth, Json::parse_event_t event, Json& key) {
    if (event == Json::parse_event_t::key && depth == 1 && !seen.insert(key.get<std::string>()).second)
      repeated = key.get<std::string>();
    return true;
  };
  static_cast<void>(Json::parse(text, note));
  return repeated;
}

// "[json.exception.parse_error.101] parse error at line 1, column 5: …" without its first word.
std::string_view without_exception_name(std::string_view what) {
  const size_t end = what.find("] ");
  return what.substr(0, 1) == "[" && end != std::string_view::npos ? what.substr(end + 2) : what;
}

}  // namespace

ApiResult<Json> parse_json(std::string_view text, const JsonInputLimits& limits) {
  RETORT_API_ASSIGN(const size_t num_outermost, check_limits(text, limits));
  try {
    Json json = Json::parse(text);
    const bool repeats = json.is_object() && !json.empty() && json.size() < num_outermost;
    if (!repeats || !limits.refuses_repeated_keys) return json;
    const std::string key = repeated_key(text);
    return refuse(400, fmt::format("{}: given twice in the body", key), key);
  } catch (const Json::exception& e) {
    auto error = refuse(400, "the body is not valid JSON");
    error.value().message += fmt::format(": {}", without_exception_name(e.what()));
    return error;
  }
}

std::string dump_json(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace retort
