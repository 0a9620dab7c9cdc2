// How model families write calls of tools. The shapes are those of the families' own chat templates.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace retort {

struct ToolCall {
  std::string name;
  std::string arguments;  // the text of a JSON object
  bool operator==(const ToolCall&) const = default;
};

enum class ToolFormat {
  kHermes,      // <tool_call>{"name": …, "arguments": {…}}</tool_call>: NousResearch's, Qwen's, SmolLM's
  kLlama3Json,  // {"name": …, "parameters": {…}}: Llama 3.1 and later
  kDeepSeek,    // <｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME and a block of JSON: DeepSeek's R1, V3
};

// The names that --tool-call-parser takes; the first is "auto".
extern const std::vector<std::string> kToolFormatNames;
// None for "auto" and what is no such name.
std::optional<ToolFormat> tool_format_named(std::string_view name);
// The format a chat template has its model write. None: it knows no tools, or writes calls in another form.
std::optional<ToolFormat> tool_format_of_template(std::string_view source);

// Calls as the model writes them.
std::string write_tool_calls(ToolFormat format, std::span<const ToolCall> calls);

// A function that may be called.
struct ToolSignature {
  std::string name;
  std::string parameters;  // the text of a JSON schema
};
// What stands before and behind the arguments of a call in the grammars below, to the letter.
struct CallFrame {
  std::string before, after;
};
CallFrame call_frame(ToolFormat format, std::string_view name);

// A grammar (GrammarKind::kLark) of calls to these: one, or with `parallel` one and more. With `answer_schema` (the
// text of a JSON schema) the whole may be JSON of that schema instead.
std::string tool_calls_grammar(ToolFormat format, std::span<const ToolSignature> tools, bool parallel,
                               std::optional<std::string_view> answer_schema = {});

// What every call begins with. None: calls have no mark of their own, only the look of one (kLlama3Json).
std::optional<std::string_view> call_mark(ToolFormat format);
// A grammar (GrammarKind::kLark) of what follows that mark in one call to one of these. For formats with a mark.
std::string marked_call_grammar(ToolFormat format, std::span<const ToolSignature> tools);

}  // namespace retort
