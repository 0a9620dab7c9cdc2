#include "server/fields/json_input.h"

#include <cmath>
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

tl::unexpected<ApiError> too_many_keys(const JsonInputLimits& limits) {
  const auto in_one = static_cast<size_t>(std::sqrt(static_cast<double>(limits.max_key_comparisons)));
  return refuse(400, fmt::format("the JSON body has objects with too many keys: one alone may have {}, of several the "
                                 "squares of their numbers of keys may add up to {}",
                                 in_one, limits.max_key_comparisons));
}

// Walks over brackets and commas alone; whether the rest is JSON is the parser's question. Returns how many commas part
// members.
ApiResult<size_t> check_limits(std::string_view text, const JsonInputLimits& limits) {
  std::vector<size_t> members;  // of each open object or array
  size_t num_values = 1, num_comparisons = 0, num_commas = 0;
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
      ++num_commas;
    } else if ((c == '}' || c == ']') && !members.empty()) {
      if (c == '}') num_comparisons += members.back() * members.back();
      members.pop_back();
    }
    if (num_values > limits.max_values)
      return refuse(400, fmt::format("the JSON body has more than {} values", limits.max_values));
    if (num_comparisons > limits.max_key_comparisons) return too_many_keys(limits);
    ++at;
  }
  // An object that is never closed is not JSON, but the parser would read it to its end first.
  for (const size_t count : members) num_comparisons += count * count;
  if (num_comparisons > limits.max_key_comparisons) return too_many_keys(limits);
  return num_commas;
}

// So many would part the members of what was parsed: fewer than in the text where the parser dropped a member.
size_t count_commas(const Json& json) {
  if (!json.is_structured() || json.empty()) return 0;
  size_t count = json.size() - 1;
  for (const Json& member : json) count += count_commas(member);
  return count;
}

// Follows the parser and knows the path of what it reads.
class RepeatedKey {
 public:
  // The parser keeps the last of a key's values, and says nothing. Empty: there is none.
  static std::string find(std::string_view text) {
    RepeatedKey finder;
    const auto note = [&](int, Json::parse_event_t event, Json& value) { return finder.note(event, value); };
    static_cast<void>(Json::parse(text, note));
    return finder.found_;
  }

 private:
  using Event = Json::parse_event_t;

  struct Level {
    bool is_array;
    std::set<std::string> keys;
    std::string key;
    size_t index = 0;
  };

  bool note(Event event, const Json& value) {
    if (event == Event::object_start || event == Event::array_start) {
      levels_.push_back({.is_array = event == Event::array_start, .keys = {}, .key = {}});
    } else if (event == Event::key) {
      levels_.back().key = value.get<std::string>();
      if (!levels_.back().keys.insert(levels_.back().key).second && found_.empty()) found_ = path();
    } else {
      if (event != Event::value) levels_.pop_back();
      if (!levels_.empty()) ++levels_.back().index;
    }
    return true;
  }

  std::string path() const {
    std::string path;
    for (const Level& level : levels_)
      path += level.is_array ? fmt::format("[{}]", level.index) : (path.empty() ? "" : ".") + shown(level.key);
    return path;
  }

  static std::string shown(const std::string& key) { return key.empty() ? R"("")" : key; }

  std::vector<Level> levels_;
  std::string found_;
};

// "[json.exception.parse_error.101] parse error at line 1, column 5: …" without its first word.
std::string_view without_exception_name(std::string_view what) {
  const size_t end = what.find("] ");
  return what.substr(0, 1) == "[" && end != std::string_view::npos ? what.substr(end + 2) : what;
}

}  // namespace

ApiResult<Json> parse_json(std::string_view text, const JsonInputLimits& limits) {
  RETORT_API_ASSIGN(const size_t num_commas, check_limits(text, limits));
  try {
    Json json = Json::parse(text);
    if (!limits.refuses_repeated_keys || count_commas(json) == num_commas) return json;
    const std::string key = RepeatedKey::find(text);
    return refuse(400, fmt::format("{}: given twice in the body", key), key);
  } catch (const Json::exception& e) {
    auto error = refuse(400, "the body is not valid JSON");
    error.value().message += fmt::format(": {}", without_exception_name(e.what()));
    return error;
  }
}

std::string dump_json(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace retort
