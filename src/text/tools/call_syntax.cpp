#include "text/tools/call_syntax.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace retort {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kHermesOpen = "<tool_call>", kHermesClose = "</tool_call>";
constexpr std::string_view kPythonTag = "<|python_tag|>";
constexpr std::string_view kCallsBegin = "<｜tool▁calls▁begin｜>", kCallsEnd = "<｜tool▁calls▁end｜>";
constexpr std::string_view kCallBegin = "<｜tool▁call▁begin｜>", kCallEnd = "<｜tool▁call▁end｜>";
constexpr std::string_view kSeparator = "<｜tool▁sep｜>";
constexpr size_t kLongestName = 256, kMostSpace = 64;

const std::vector<std::string_view>& opening_marks(ToolFormat format) {
  static const std::vector<std::string_view> hermes = {kHermesOpen}, llama = {kPythonTag},
                                             deepseek = {kCallsBegin, kCallBegin};
  return format == ToolFormat::kHermes ? hermes : format == ToolFormat::kLlama3Json ? llama : deepseek;
}

// The longest end of `text` that is the beginning of `mark`, short of all of it.
size_t begun(std::string_view text, std::string_view mark) {
  for (size_t length = std::min(text.size(), mark.size() - 1); length > 0; --length)
    if (text.ends_with(mark.substr(0, length))) return length;
  return 0;
}

// Reads a head from left to right; what does not fit or is not there yet ends it.
class HeadReader {
 public:
  explicit HeadReader(std::string_view text) : text_(text) {}

  void space() {
    const size_t begin = at_;
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
    if (at_ - begin > kMostSpace) state_ = CallHead::State::kNone;
  }
  // False: another thing stands here, or it is not clear yet.
  bool may_take(std::string_view mark) {
    const std::string_view rest = text_.substr(at_);
    if (state_ != CallHead::State::kJson) return false;
    if (rest.starts_with(mark)) {
      at_ += mark.size();
      return true;
    }
    if (mark.starts_with(rest)) state_ = CallHead::State::kMore;
    return false;
  }
  void take(std::string_view mark) {
    if (!may_take(mark) && state_ == CallHead::State::kJson) state_ = CallHead::State::kNone;
  }
  std::string until(std::string_view mark) {
    if (state_ != CallHead::State::kJson) return {};
    const size_t found = text_.find(mark, at_);
    const size_t length = std::min(found, text_.size()) - at_;
    if (length > kLongestName + mark.size() || found == std::string_view::npos) {
      state_ = length > kLongestName + mark.size() ? CallHead::State::kNone : CallHead::State::kMore;
      return {};
    }
    const size_t begin = std::exchange(at_, found + mark.size());
    return std::string(text_.substr(begin, length));
  }
  CallHead end(std::string name = {}) {
    if (state_ == CallHead::State::kJson && at_ == text_.size()) state_ = CallHead::State::kMore;
    if (state_ == CallHead::State::kJson && text_[at_] != '{') state_ = CallHead::State::kNone;
    return {.state = state_, .json_at = at_, .name = std::move(name)};
  }

 private:
  std::string_view text_;
  size_t at_ = 0;
  CallHead::State state_ = CallHead::State::kJson;
};

std::string trimmed(std::string text) {
  text.erase(0, std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  text.erase(text.find_last_not_of(" \t\r\n") + 1);
  return text;
}

// V3.1 has the name where those before have "function"; these put the arguments into a block of code.
CallHead read_deepseek_head(std::string_view text) {
  HeadReader reader(text);
  if (reader.may_take(kCallsBegin)) reader.space();
  reader.take(kCallBegin);
  std::string name = trimmed(reader.until(kSeparator));
  if (name == "function") {
    name = trimmed(reader.until("\n"));
    reader.space();
    reader.take("```json");
  }
  reader.space();
  return reader.end(std::move(name));
}

// Small models forget the marks, above all those made for code, and begin with the JSON or a block of it.
CallHead read_unmarked_head(std::string_view text) {
  constexpr std::string_view kFirstKey = "\"name\"";
  HeadReader reader(text);
  if (text.starts_with(kFence)) {
    reader.take(kFence);
    reader.may_take("json");
  }
  reader.space();
  CallHead head = reader.end();
  head.is_marked = false;
  if (head.state != CallHead::State::kJson) return head;
  std::string_view inside = text.substr(head.json_at + 1);
  inside.remove_prefix(std::min(inside.find_first_not_of(" \t\r\n"), inside.size()));
  if (inside.size() < kFirstKey.size() && kFirstKey.starts_with(inside))
    head.state = CallHead::State::kMore;
  else if (!inside.starts_with(kFirstKey))
    head.state = CallHead::State::kNone;
  return head;
}

// Models leave line breaks and tabs within strings as they are.
std::string with_escaped_controls(std::string_view json) {
  std::string escaped;
  bool is_string = false, is_escaped = false;
  for (const char c : json) {
    const auto byte = static_cast<unsigned char>(c);
    if (is_string && byte < 0x20) {
      constexpr std::string_view kHex = "0123456789abcdef";
      escaped += c == '\n'   ? std::string("\\n")
                 : c == '\t' ? std::string("\\t")
                             : std::string("\\u00") + kHex[byte >> 4] + kHex[byte & 15];
      continue;
    }
    if (c == '"' && !is_escaped) is_string = !is_string;
    is_escaped = is_string && c == '\\' && !is_escaped;
    escaped += c;
  }
  return escaped;
}

std::optional<std::string> arguments_of(const Json& value) {
  if (value.is_null()) return "{}";
  if (value.is_object()) return value.dump();
  if (!value.is_string()) return std::nullopt;  // some write the object's text as a string
  const Json parsed = Json::parse(value.get_ref<const std::string&>(), nullptr, false);
  return parsed.is_object() ? std::optional(parsed.dump()) : std::nullopt;
}

}  // namespace

std::optional<Opening> find_opening(ToolFormat format, std::string_view text, bool is_start) {
  const size_t first = is_start ? text.find_first_not_of(" \t\r\n") : std::string_view::npos;
  if (first != std::string_view::npos && format != ToolFormat::kDeepSeek) {
    const std::string_view begin = text.substr(first);
    const bool may_be_fence = format == ToolFormat::kHermes && kFence.starts_with(begin.substr(0, kFence.size()));
    if (begin[0] == '{' || may_be_fence) return Opening{first, begin[0] == '{' || begin.size() >= kFence.size()};
  }
  std::optional<Opening> opening;
  for (const std::string_view mark : opening_marks(format)) {
    const size_t found = text.find(mark);
    const size_t at = found != std::string_view::npos ? found : text.size() - begun(text, mark);
    if (at < text.size() && (!opening || at < opening->at)) opening = {at, found != std::string_view::npos};
  }
  return opening;
}

CallHead read_head(ToolFormat format, std::string_view text) {
  if (format == ToolFormat::kDeepSeek) return read_deepseek_head(text);
  if (format == ToolFormat::kHermes && !text.starts_with('<')) return read_unmarked_head(text);
  HeadReader reader(text);
  if (format == ToolFormat::kHermes)
    reader.take(kHermesOpen);
  else
    reader.may_take(kPythonTag);
  reader.space();
  return reader.end();
}

CallHead read_bound_head(ToolFormat format, std::string_view text, const std::vector<std::string>& names) {
  CallHead head{.state = CallHead::State::kNone};
  size_t begin = 0;  // of the call itself
  if (format == ToolFormat::kDeepSeek && kCallsBegin.starts_with(text.substr(0, kCallsBegin.size()))) {
    head.state = CallHead::State::kMore;
    begin = std::min(text.find_first_not_of(" \t\r\n", kCallsBegin.size()), text.size());
  }
  const std::string_view call = text.substr(begin);
  if (call.empty()) return head;
  head.state = CallHead::State::kNone;
  for (const std::string& name : names) {
    const std::string before = call_frame(format, name).before + "{";
    if (call.starts_with(before))
      return {.state = CallHead::State::kJson, .json_at = begin + before.size() - 1, .name = name};
    if (before.starts_with(call)) head.state = CallHead::State::kMore;
  }
  return head;
}

bool is_frame_alone(ToolFormat format, std::string_view text, const std::vector<std::string>& names) {
  if (format == ToolFormat::kDeepSeek && kCallsBegin.starts_with(text.substr(0, kCallsBegin.size())))
    text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n", kCallsBegin.size()), text.size()));
  return std::ranges::all_of(
      names, [&](const std::string& name) { return call_frame(format, name).before.starts_with(text); });
}

std::optional<ToolCall> make_call(const CallHead& head, std::string_view json) {
  const std::string text = with_escaped_controls(json);
  const Json parsed = Json::parse(text, nullptr, false);
  if (!parsed.is_object()) return std::nullopt;
  if (!head.name.empty()) return ToolCall{head.name, text};
  const Json name = parsed.value("name", Json());
  if (!name.is_string()) return std::nullopt;
  if (!head.is_marked && (parsed.size() != 2 || !parsed.contains("arguments"))) return std::nullopt;
  const char* key = parsed.contains("arguments") ? "arguments" : "parameters";
  std::optional<std::string> arguments = arguments_of(parsed.value(key, Json()));
  if (!arguments) return std::nullopt;
  return ToolCall{name.get<std::string>(), std::move(*arguments)};
}

const std::vector<std::string_view>& closing_marks(ToolFormat format) {
  static const std::vector<std::string_view> hermes = {kHermesClose, kFence}, llama = {";"},
                                             deepseek = {kFence, kCallEnd, kCallsEnd};
  return format == ToolFormat::kHermes ? hermes : format == ToolFormat::kLlama3Json ? llama : deepseek;
}

}  // namespace retort
