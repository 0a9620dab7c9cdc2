// Any bytes as an answer that may call tools, in every format: how it is cut changes nothing, what is no call comes out
// as it was written, and arguments are JSON objects. Where calls are bound to a form, telling them in pieces tells the
// same.
#include <cstdint>
#include <nlohmann/json.hpp>

#include "base/result.h"
#include "text/tools/tool_parser.h"

namespace {

using namespace retort;

struct Outcome {
  std::string content;
  std::vector<ToolCall> calls;
  bool is_cut = false;  // the last call
  bool operator==(const Outcome&) const = default;
};

const auto kNames = std::make_shared<const std::vector<std::string>>(std::vector<std::string>{"f", "g"});

void gather(std::vector<ToolPiece> pieces, Outcome& outcome) {
  for (ToolPiece& piece : pieces) {
    if (auto* text = std::get_if<std::string>(&piece)) {
      outcome.content += *text;
      continue;
    }
    const auto& part = std::get<ToolCallPart>(piece);
    if (!part.name.empty()) outcome.calls.push_back({part.name, ""});
    outcome.calls.back().arguments += part.arguments;
    outcome.is_cut = !part.is_last;
  }
}

// `length`: of each piece.
Outcome parse(ToolFormat format, std::string_view text, size_t length, CallBinding binding = CallBinding::kNone) {
  ToolCallParser parser(format, kNames, binding);
  Outcome outcome;
  for (size_t at = 0; at < text.size(); at += length) gather(parser.push(text.substr(at, length)), outcome);
  gather(parser.finish(), outcome);
  return outcome;
}

// Every byte of the content stands in the text, in its order.
bool is_within(std::string_view content, std::string_view text) {
  size_t at = 0;
  for (const char c : content) {
    at = text.find(c, at);
    if (at == std::string_view::npos) return false;
    ++at;
  }
  return true;
}

void check(ToolFormat format, std::string_view text) {
  const Outcome whole = parse(format, text, text.size() + 1);
  for (const size_t length : {1, 2, 3, 7, 64}) RETORT_CHECK(parse(format, text, length) == whole);
  RETORT_CHECK(is_within(whole.content, text));
  if (whole.calls.empty()) RETORT_CHECK(whole.content == text);
  for (const ToolCall& call : whole.calls) {
    RETORT_CHECK(call.name == "f" || call.name == "g");
    RETORT_CHECK(nlohmann::json::parse(call.arguments).is_object());
  }
  // What it finds, it finds again in its own writing.
  if (!whole.calls.empty()) {
    const std::string written = write_tool_calls(format, whole.calls);
    const Outcome again = parse(format, written, 5);
    RETORT_CHECK(again.content.empty() && again.calls.size() == whole.calls.size());
    RETORT_CHECK(parse(format, written, 5, CallBinding::kPieces) == parse(format, written, 7, CallBinding::kWhole));
  }
  const Outcome bound = parse(format, text, text.size() + 1, CallBinding::kPieces);
  for (const size_t length : {1, 3, 64}) RETORT_CHECK(parse(format, text, length, CallBinding::kPieces) == bound);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const ToolFormat format : {ToolFormat::kHermes, ToolFormat::kLlama3Json, ToolFormat::kDeepSeek})
    check(format, text);
  return 0;
}
