#include "text/tools/tool_format.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace retort {
namespace {

using Json = nlohmann::ordered_json;

// As everywhere that JSON is asked for: a line break with its indentation, or one space.
constexpr const char* kJsonWhiteSpace = R"(\n[ \t]{0,32}|[ ])";

std::string as_json(std::string_view text) { return Json(text).dump(); }

// Around all calls.
CallFrame outer_frame(ToolFormat format) {
  return format == ToolFormat::kDeepSeek ? CallFrame{"<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"} : CallFrame{};
}

std::string_view border(ToolFormat format) { return format == ToolFormat::kLlama3Json ? "; " : "\n"; }

std::string json_rule(Json parsed) {
  parsed["x-guidance"] = {{"whitespace_pattern", kJsonWhiteSpace}};
  return "%json " + parsed.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json parse_schema(std::string_view text) {
  Json schema = Json::parse(text, nullptr, false);
  return schema.is_object() ? schema : Json::object();
}

// Arguments that a schema does not name are of no use to anyone, and small models do not come to an end of them.
Json with_named_arguments_only(Json schema) {
  for (const char* key : {"additionalProperties", "patternProperties", "allOf", "anyOf", "oneOf", "$ref"})
    if (schema.contains(key)) return schema;
  if (schema.contains("properties")) schema["additionalProperties"] = false;
  return schema;
}

// The rule `call`, one to any of the tools, without `mark`, which it begins with.
std::string call_rules(ToolFormat format, std::span<const ToolSignature> tools, std::string_view mark) {
  std::string call = "call: ", rules;
  for (size_t i = 0; i < tools.size(); ++i) {
    const CallFrame frame = call_frame(format, tools[i].name);
    call += fmt::format("{}call_{}", i > 0 ? " | " : "", i);
    rules +=
        fmt::format("call_{}: {} arguments_{} {}\narguments_{}: {}\n", i, as_json(frame.before.substr(mark.size())), i,
                    as_json(frame.after), i, json_rule(with_named_arguments_only(parse_schema(tools[i].parameters))));
  }
  return call + "\n" + rules;
}

}  // namespace

const std::vector<std::string> kToolFormatNames = {"auto", "hermes", "qwen", "llama3_json", "deepseek", "deepseek_v3"};

std::optional<ToolFormat> tool_format_named(std::string_view name) {
  if (name == "hermes" || name == "qwen") return ToolFormat::kHermes;
  if (name == "llama3_json") return ToolFormat::kLlama3Json;
  if (name == "deepseek" || name == "deepseek_v3") return ToolFormat::kDeepSeek;
  return std::nullopt;
}

std::optional<ToolFormat> tool_format_of_template(std::string_view source) {
  const auto has = [&](std::string_view mark) { return source.find(mark) != std::string_view::npos; };
  if (!has("tools") || has("<function=")) return std::nullopt;
  if (has("<tool_call>")) return ToolFormat::kHermes;
  if (has("<｜tool▁call▁begin｜>")) return ToolFormat::kDeepSeek;
  if (has("<|start_header_id|>") && has("\"parameters\"")) return ToolFormat::kLlama3Json;
  return std::nullopt;
}

CallFrame call_frame(ToolFormat format, std::string_view name) {
  switch (format) {
    case ToolFormat::kHermes:
      return {"<tool_call>\n{\"name\": " + as_json(name) + ", \"arguments\": ", "}\n</tool_call>"};
    case ToolFormat::kLlama3Json:
      return {"{\"name\": " + as_json(name) + ", \"parameters\": ", "}"};
    case ToolFormat::kDeepSeek:
      return {fmt::format("<｜tool▁call▁begin｜>function<｜tool▁sep｜>{}\n```json\n", name),
              "\n```<｜tool▁call▁end｜>"};
  }
  return {};
}

std::string write_tool_calls(ToolFormat format, std::span<const ToolCall> calls) {
  if (calls.empty()) return {};
  std::string text = outer_frame(format).before;
  for (const ToolCall& call : calls) {
    const CallFrame frame = call_frame(format, call.name);
    if (&call != &calls.front()) text += border(format);
    text += frame.before + call.arguments + frame.after;
  }
  return text + outer_frame(format).after;
}

std::string tool_calls_grammar(ToolFormat format, std::span<const ToolSignature> tools, bool parallel,
                               std::optional<std::string_view> answer_schema) {
  const CallFrame outer = outer_frame(format);
  const auto literal = [](const std::string& text) { return text.empty() ? std::string() : as_json(text) + " "; };
  const std::string more = parallel ? fmt::format(" ({} call)*", as_json(border(format))) : "";
  std::string start = fmt::format("{}call{} {}", literal(outer.before), more, literal(outer.after));
  std::string rules = call_rules(format, tools, "");
  if (answer_schema) {
    rules += fmt::format("answer: {}\n", json_rule(parse_schema(*answer_schema)));
    start = fmt::format("({}) | answer", start);
  }
  return fmt::format("start: {}\n{}", start, rules);
}

std::optional<std::string_view> call_mark(ToolFormat format) {
  switch (format) {
    case ToolFormat::kHermes:
      return "<tool_call>";
    case ToolFormat::kDeepSeek:
      return "<｜tool▁call▁begin｜>";
    case ToolFormat::kLlama3Json:
      break;
  }
  return std::nullopt;
}

std::string marked_call_grammar(ToolFormat format, std::span<const ToolSignature> tools) {
  return "start: call\n" + call_rules(format, tools, *call_mark(format));
}

}  // namespace retort
