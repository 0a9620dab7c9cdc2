// Conversations as models write them, whole and cut at every byte: what comes out is always the same.
#include "text/tools/tool_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace retort {
namespace {

using Json = nlohmann::ordered_json;

struct Outcome {
  std::string content;
  std::vector<ToolCall> calls;
  bool is_cut = false;  // the last call
  bool operator==(const Outcome&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
  out << "content " << Json(outcome.content);
  for (const ToolCall& call : outcome.calls) out << "; " << call.name << " " << call.arguments;
  return out << (outcome.is_cut ? " cut" : "");
}

const auto kNames = std::make_shared<const std::vector<std::string>>(
    std::vector<std::string>{"get_weather", "add", "now", "run-code", "a.b"});

Outcome gather(std::vector<ToolPiece> pieces, Outcome outcome = {}) {
  for (ToolPiece& piece : pieces) {
    if (auto* text = std::get_if<std::string>(&piece)) {
      outcome.content += *text;
      continue;
    }
    const auto& part = std::get<ToolCallPart>(piece);
    EXPECT_EQ(part.name.empty(), outcome.is_cut) << "only the first part has a name";
    if (!part.name.empty()) outcome.calls.push_back({part.name, ""});
    outcome.calls.back().arguments += part.arguments;
    outcome.is_cut = !part.is_last;
  }
  return outcome;
}

Outcome parse(ToolFormat format, std::span<const std::string_view> parts, CallBinding binding) {
  ToolCallParser parser(format, kNames, binding);
  Outcome outcome;
  for (const std::string_view part : parts) outcome = gather(parser.push(part), std::move(outcome));
  return gather(parser.finish(), std::move(outcome));
}

// Whole; cut in two at every byte; byte by byte.
Outcome parse_every_way(ToolFormat format, std::string_view text, CallBinding binding = CallBinding::kNone) {
  const Outcome whole = parse(format, std::vector{text}, binding);
  std::vector<std::string_view> bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    EXPECT_EQ(parse(format, std::vector{text.substr(0, i), text.substr(i)}, binding), whole)
        << "cut at " << i << ": " << text;
    bytes.push_back(text.substr(i, 1));
  }
  EXPECT_EQ(parse(format, bytes, binding), whole) << "byte by byte: " << text;
  return whole;
}

const ToolCall kWeather = {"get_weather", R"({"city":"Paris"})"};
const ToolCall kNow = {"now", "{}"};

struct Script {
  const char* text;
  Outcome outcome;
};

Outcome content(const char* text) { return {text, {}}; }
Outcome calls(std::vector<ToolCall> list) { return {"", std::move(list)}; }

// Also where there is a grammar; but what it holds is told without white space, and otherwise as it was written.
void expect_all(ToolFormat format, const std::vector<Script>& scripts) {
  for (const Script& script : scripts) {
    EXPECT_EQ(parse_every_way(format, script.text), script.outcome) << script.text;
    if (std::string_view(script.text).find("<｜tool▁sep｜>add") != std::string_view::npos) continue;
    EXPECT_EQ(parse_every_way(format, script.text, CallBinding::kWhole), script.outcome) << script.text;
  }
}

// 52 of them.
TEST(ToolParser, Hermes) {
  const std::string big(3000, 'x');
  const std::string long_text = "<tool_call>{\"name\": \"add\", \"arguments\": {\"s\": \"" + big + "\"}}</tool_call>";
  expect_all(
      ToolFormat::kHermes,
      {
          // one call
          {"<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>",
           calls({kWeather})},
          {"<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"city\":\"Paris\"}}</tool_call>", calls({kWeather})},
          {"\n\n<tool_call>\n{\"arguments\": {\"city\": \"Paris\"}, \"name\": \"get_weather\"}\n</tool_call>\n",
           calls({kWeather})},
          {"<tool_call>{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Paris\"}}</tool_call>",
           calls({kWeather})},
          {"<tool_call>{\"name\": \"get_weather\", \"arguments\": \"{\\\"city\\\": \\\"Paris\\\"}\"}</tool_call>",
           calls({kWeather})},
          // no arguments
          {"<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>", calls({kNow})},
          {"<tool_call>{\"name\": \"now\", \"arguments\": null}</tool_call>", calls({kNow})},
          {"<tool_call>{\"name\": \"now\"}</tool_call>", calls({kNow})},
          // no closing mark, or two
          {"<tool_call>{\"name\": \"now\", \"arguments\": {}}", calls({kNow})},
          {"<tool_call>{\"name\": \"now\", \"arguments\": {}}\n</tool_call></tool_call>", calls({kNow})},
          {"<tool_call>{\"name\": \"now\"}<tool_call>{\"name\": \"now\"}", calls({kNow, kNow})},
          // several
          {"<tool_call>{\"name\": \"now\"}</tool_call>\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": "
           "{\"city\": \"Paris\"}}\n</tool_call>",
           calls({kNow, kWeather})},
          {"<tool_call>{\"name\": \"now\"}</tool_call><tool_call>{\"name\": \"now\"}</tool_call><tool_call>{\"name\": "
           "\"now\"}</tool_call>",
           calls({kNow, kNow, kNow})},
          // text around
          {"Let me see.\n<tool_call>{\"name\": \"now\"}</tool_call>", {"Let me see.", {kNow}}},
          {"Let me see.\n\n<tool_call>{\"name\": \"now\"}</tool_call>\n\nThere.", {"Let me see.\n\nThere.", {kNow}}},
          {"a<tool_call>{\"name\": \"now\"}</tool_call>b<tool_call>{\"name\": \"now\"}</tool_call>c",
           {"abc", {kNow, kNow}}},
          // what the arguments may hold
          {"<tool_call>{\"name\": \"add\", \"arguments\": {\"s\": \"</tool_call> \\\"}} é 👋\"}}</tool_call>",
           calls({{"add", "{\"s\":\"</tool_call> \\\"}} é 👋\"}"}})},
          {"<tool_call>{\"name\": \"add\", \"arguments\": {\"s\": \"<tool_call>{\\\"name\\\": "
           "\\\"now\\\"}\"}}</tool_call>",
           calls({{"add", "{\"s\":\"<tool_call>{\\\"name\\\": \\\"now\\\"}\"}"}})},
          {"<tool_call>{\"name\": \"add\", \"arguments\": {\"a\": [1, -2.5e3, true, null, {\"b\": []}]}}</tool_call>",
           calls({{"add", R"({"a":[1,-2500.0,true,null,{"b":[]}]})"}})},
          {"<tool_call>{\"name\": \"run-code\", \"arguments\": {\"code\": \"a\nb\tc\"}}</tool_call>",
           calls({{"run-code", R"({"code":"a\nb\tc"})"}})},
          {"<tool_call>{\"name\": \"a.b\", \"arguments\": {\"u\": \"\\u00e9\\n\"}}</tool_call>",
           calls({{"a.b", "{\"u\":\"é\\n\"}"}})},
          {"<tool_call>{\"name\": \"add\", \"arguments\": {\"\": \"\"}}</tool_call>", calls({{"add", R"({"":""})"}})},
          {long_text.c_str(), calls({{"add", "{\"s\":\"" + big + "\"}"}})},
          // what only looks like one
          {"plain text", content("plain text")},
          {"", content("")},
          {"  \n", content("  \n")},
          {"1 < 2 and <tool> and <tool_cal", content("1 < 2 and <tool> and <tool_cal")},
          {"Write <tool_call> before it.", content("Write <tool_call> before it.")},
          // the marks forgotten, at the very beginning
          {"{\"name\": \"now\", \"arguments\": {}}", calls({kNow})},
          {"```json\n{\n  \"name\": \"get_weather\",\n  \"arguments\": {\"city\": \"Paris\"}\n}\n```",
           calls({kWeather})},
          {"```\n{\"name\": \"now\", \"arguments\": {}}\n```\nThat is it.", {"\nThat is it.", {kNow}}},
          {"```json\n{\"name\": \"now\", \"arguments\": {}}\n```\n```json\n{\"name\": \"now\", \"arguments\": {}}\n```",
           calls({kNow, kNow})},
          {"Like {\"name\": \"now\", \"arguments\": {}}", content("Like {\"name\": \"now\", \"arguments\": {}}")},
          {"{\"name\": \"now\"}", content("{\"name\": \"now\"}")},
          {"{\"name\": \"now\", \"arguments\": {}, \"more\": 1}",
           content("{\"name\": \"now\", \"arguments\": {}, \"more\": 1}")},
          {"{\"name\": \"Ada\", \"arguments\": {}}", content("{\"name\": \"Ada\", \"arguments\": {}}")},
          {"{\"answer\": 42}", content("{\"answer\": 42}")},
          {"```python\nprint(1)\n```", content("```python\nprint(1)\n```")},
          {"``", content("``")},
          {"```\n<tool_call>\nname\n</tool_call>\n```", content("```\n<tool_call>\nname\n</tool_call>\n```")},
          // malformed or cut off
          {"<tool_call>", content("<tool_call>")},
          {"<tool_call>\n", content("<tool_call>\n")},
          {"<tool_call>{\"name\": \"now\", \"argu", content("<tool_call>{\"name\": \"now\", \"argu")},
          {"x <tool_call>{\"name\": \"now\", \"arguments\": {\"a\": \"b",
           content("x <tool_call>{\"name\": \"now\", \"arguments\": {\"a\": \"b")},
          {"<tool_call>{\"name\": \"now\", \"arguments\": [1]}</tool_call>",
           content("<tool_call>{\"name\": \"now\", \"arguments\": [1]}</tool_call>")},
          {"<tool_call>{\"name\": \"now\", \"arguments\": \"soon\"}</tool_call>",
           content("<tool_call>{\"name\": \"now\", \"arguments\": \"soon\"}</tool_call>")},
          {"<tool_call>{\"name\": \"fly\", \"arguments\": {}}</tool_call>",
           content("<tool_call>{\"name\": \"fly\", \"arguments\": {}}</tool_call>")},
          {"<tool_call>{\"arguments\": {}}</tool_call>", content("<tool_call>{\"arguments\": {}}</tool_call>")},
          {"<tool_call>{name: now}</tool_call>", content("<tool_call>{name: now}</tool_call>")},
          {"<tool_call>{\"name\": 'now'}</tool_call>", content("<tool_call>{\"name\": 'now'}</tool_call>")},
          {"<tool_call>{\"name\": \"add\", \"arguments\": {\"a\": 01}}</tool_call>",
           content("<tool_call>{\"name\": \"add\", \"arguments\": {\"a\": 01}}</tool_call>")},
          // one that is broken does not take the next along
          {"<tool_call>{\"name\": \"now\", \"arguments\": {\n<tool_call>{\"name\": \"now\"}</tool_call>",
           {"<tool_call>{\"name\": \"now\", \"arguments\": {", {kNow}}},
      });
}

// 26 of them.
TEST(ToolParser, Llama3Json) {
  expect_all(
      ToolFormat::kLlama3Json,
      {
          {R"({"name": "get_weather", "parameters": {"city": "Paris"}})", calls({kWeather})},
          {R"({"name": "get_weather", "arguments": {"city": "Paris"}})", calls({kWeather})},
          {"\n\n{\"name\": \"now\", \"parameters\": {}}\n", calls({kNow})},
          {R"(<|python_tag|>{"name": "now", "parameters": {}})", calls({kNow})},
          {R"(<|python_tag|> {"name": "now"})", calls({kNow})},
          {R"({"type": "function", "name": "now", "parameters": {}})", calls({kNow})},
          {R"({"name": "now", "parameters": null})", calls({kNow})},
          {R"({"name": "now"}; {"name": "get_weather", "parameters": {"city": "Paris"}})", calls({kNow, kWeather})},
          {R"({"name": "now"};{"name": "now"};{"name": "now"})", calls({kNow, kNow, kNow})},
          {"{\"name\": \"now\"}\n{\"name\": \"now\"}", calls({kNow, kNow})},
          {R"({"name": "now"};)", calls({kNow})},
          {R"(I ask. <|python_tag|>{"name": "now"})", {"I ask.", {kNow}}},
          {R"({"name": "now"} done)", {" done", {kNow}}},
          {R"({"name": "add", "parameters": {"s": "};{"}})", calls({{"add", R"({"s":"};{"})"}})},
          {R"({"name": "add", "parameters": {"o": {"p": {"q": [[]]}}}})",
           calls({{"add", R"({"o":{"p":{"q":[[]]}}})"}})},
          {R"({"name": "add", "parameters": "{}"})", calls({{"add", "{}"}})},
          {R"(See {"name": "now"})", content(R"(See {"name": "now"})")},
          {R"({"answer": 42})", content(R"({"answer": 42})")},
          {R"({"name": "Ada", "parameters": {}})", content(R"({"name": "Ada", "parameters": {}})")},
          {R"({"name": "now", "parameters": [)", content(R"({"name": "now", "parameters": [)")},
          {"{", content("{")},
          {"{}", content("{}")},
          {"<|python_tag|>print(1)", content("<|python_tag|>print(1)")},
          {"<|python", content("<|python")},
          {"{set builder}", content("{set builder}")},
          {"hello", content("hello")},
      });
}

// 34 of them.
TEST(ToolParser, DeepSeek) {
#define BEGIN "<｜tool▁calls▁begin｜>"
#define CALL "<｜tool▁call▁begin｜>"
#define SEP "<｜tool▁sep｜>"
#define DONE "<｜tool▁call▁end｜>"
#define END "<｜tool▁calls▁end｜>"
#define NOW CALL "function" SEP "now\n```json\n{}\n```" DONE
#define WEATHER CALL "function" SEP "get_weather\n```json\n{\"city\":\"Paris\"}\n```" DONE
  expect_all(
      ToolFormat::kDeepSeek,
      {
          {BEGIN WEATHER END, calls({kWeather})},
          {BEGIN NOW END, calls({kNow})},
          {BEGIN "\n" NOW "\n" END "\n", calls({kNow})},
          {NOW, calls({kNow})},
          {NOW END, calls({kNow})},
          {BEGIN NOW, calls({kNow})},
          {BEGIN NOW "\n" WEATHER END, calls({kNow, kWeather})},
          {BEGIN NOW NOW NOW END, calls({kNow, kNow, kNow})},
          {"Let me see.\n" BEGIN NOW END, {"Let me see.", {kNow}}},
          {"Let me see." BEGIN NOW END " Done.", {"Let me see. Done.", {kNow}}},
          {BEGIN NOW END "\n" BEGIN WEATHER END, calls({kNow, kWeather})},
          {BEGIN CALL "function" SEP "now\n```json\n{}", calls({kNow})},
          {BEGIN CALL "function" SEP "now\n```json\n{}\n" DONE END, calls({kNow})},
          {BEGIN CALL "function" SEP " now \n\n```json {}```" DONE END, calls({kNow})},
          {BEGIN CALL "function" SEP "add\n```json\n{\n  \"a\": 1\n}\n```" DONE END,
           calls({{"add", "{\n  \"a\": 1\n}"}})},
          {BEGIN CALL "function" SEP "add\n```json\n{\"a\": 123456789012345678901234567890}\n```" DONE END,
           calls({{"add", "{\"a\": 123456789012345678901234567890}"}})},
          {BEGIN CALL "function" SEP "add\n```json\n{\"a\": \"```\"}\n```" DONE END,
           calls({{"add", "{\"a\": \"```\"}"}})},
          {BEGIN CALL "function" SEP "add\n```json\n{\"a\": \"x\ny\"}\n```" DONE END,
           calls({{"add", "{\"a\": \"x\\ny\"}"}})},
          // V3.1
          {BEGIN CALL "now" SEP "{}" DONE END, calls({kNow})},
          {BEGIN CALL "get_weather" SEP "{\"city\":\"Paris\"}" DONE CALL "now" SEP "{}" DONE END,
           calls({kWeather, kNow})},
          {BEGIN CALL "now" SEP "{}", calls({kNow})},
          {BEGIN CALL " now " SEP " {}" DONE END, calls({kNow})},
          // what is none
          {BEGIN, content(BEGIN)},
          {BEGIN END, content(BEGIN END)},
          {BEGIN CALL, content(BEGIN CALL)},
          {BEGIN CALL "function" SEP "now", content(BEGIN CALL "function" SEP "now")},
          {BEGIN CALL "function" SEP "now\n```json\n{\"a", content(BEGIN CALL "function" SEP "now\n```json\n{\"a")},
          {BEGIN CALL "function" SEP "fly\n```json\n{}\n```" DONE END,
           content(BEGIN CALL "function" SEP "fly\n```json\n{}\n```" DONE END)},
          {BEGIN CALL "function" SEP "now\n```json\n[]\n```" DONE END,
           content(BEGIN CALL "function" SEP "now\n```json\n[]\n```" DONE END)},
          {BEGIN CALL "function" SEP "now\n```python\n{}\n```" DONE END,
           content(BEGIN CALL "function" SEP "now\n```python\n{}\n```" DONE END)},
          {CALL "now" DONE, content(CALL "now" DONE)},
          {"<｜tool", content("<｜tool")},
          {"1 < 2", content("1 < 2")},
          {"plain", content("plain")},
      });
}

TEST(ToolParser, ShowsContentAtOnceButForWhatMayBeAMark) {
  ToolCallParser parser(ToolFormat::kHermes, kNames);
  EXPECT_EQ(gather(parser.push("Hello")).content, "Hello");
  EXPECT_EQ(gather(parser.push(" there <to")).content, " there");
  EXPECT_EQ(gather(parser.push("ast>")).content, " <toast>");
}

TEST(ToolParser, LongHeldTextCostsOnce) {
  ToolCallParser parser(ToolFormat::kHermes, kNames);
  parser.push("<tool_call>{\"name\": \"add\", \"arguments\": {\"s\": \"");
  for (int i = 0; i < 200'000; ++i) parser.push("word ");  // quadratic time would not end
  const Outcome outcome = gather(parser.push("\"}}"));
  ASSERT_EQ(outcome.calls.size(), 1u);
  EXPECT_GT(outcome.calls[0].arguments.size(), 1'000'000u);
}

TEST(ToolParser, ABoundCallComesAsItIsWritten) {
  ToolCallParser parser(ToolFormat::kHermes, kNames, CallBinding::kPieces);
  EXPECT_TRUE(parser.push("<tool_call>\n{\"name\": \"add\", \"argu").empty());
  const auto begun = parser.push("ments\": {\"a");
  ASSERT_EQ(begun.size(), 1u);
  const auto& first = std::get<ToolCallPart>(begun[0]);
  EXPECT_EQ(first.name + " " + first.arguments, "add {\"a");
  EXPECT_FALSE(first.is_last);
  EXPECT_TRUE(parser.push("").empty());
  const auto more = parser.push("\": \n  [1, 2e0, \" \\\" \\u00e9\"]");
  ASSERT_EQ(more.size(), 1u);
  EXPECT_EQ(std::get<ToolCallPart>(more[0]).arguments, "\":[1,2e0,\" \\\" \\u00e9\"]");
  EXPECT_TRUE(parser.push(" ").empty()) << "white space is nothing";
  const auto last = parser.push("}}\n</tool_call>");
  ASSERT_EQ(last.size(), 1u);
  EXPECT_EQ(std::get<ToolCallPart>(last[0]).arguments, "}");
  EXPECT_TRUE(std::get<ToolCallPart>(last[0]).is_last);
  EXPECT_TRUE(parser.finish().empty());
}

TEST(ToolParser, BoundCallsAreTheSameInPiecesAndWhole) {
  const std::vector<ToolCall> list = {
      {"add", "{ \"s\": \"</tool_call> } \\\\\\\" \", \"n\" : -1.50e+3}"}, kNow, kWeather};
  const Outcome expected = calls({{"add", "{\"s\":\"</tool_call> } \\\\\\\" \",\"n\":-1.50e+3}"}, kNow, kWeather});
  for (const ToolFormat format : {ToolFormat::kHermes, ToolFormat::kLlama3Json, ToolFormat::kDeepSeek})
    for (const CallBinding binding : {CallBinding::kWhole, CallBinding::kPieces})
      EXPECT_EQ(parse_every_way(format, write_tool_calls(format, list), binding), expected);
  const std::string told = "Let me see.\n\n" + write_tool_calls(ToolFormat::kHermes, list) + " Done.";
  EXPECT_EQ(parse_every_way(ToolFormat::kHermes, told, CallBinding::kPieces),
            (Outcome{"Let me see. Done.", expected.calls}));
}

TEST(ToolParser, ABoundCallMayBeCutOff) {
  const std::string_view text = "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": \"b";
  EXPECT_EQ(parse_every_way(ToolFormat::kHermes, text, CallBinding::kPieces),
            (Outcome{"", {{"add", "{\"a\":\"b"}}, true}));
  EXPECT_EQ(parse_every_way(ToolFormat::kHermes, text, CallBinding::kWhole), content(text.data()));
  const std::string_view head = "<tool_call>\n{\"name\": \"add\", \"arguments\": ";
  EXPECT_EQ(parse_every_way(ToolFormat::kHermes, head, CallBinding::kPieces), content(head.data()));
}

TEST(ToolParser, ADemandedCallThatSaysNothingYetIsNothing) {
  const auto weather = std::make_shared<const std::vector<std::string>>(std::vector<std::string>{"get_weather"});
  const auto cut = [&](ToolFormat format, const std::string& text, size_t length, bool one_name = true) {
    std::vector<Outcome> outcomes;
    for (const CallBinding binding : {CallBinding::kWhole, CallBinding::kPieces}) {
      ToolCallParser whole(format, one_name ? weather : kNames, binding, true);
      outcomes.push_back(gather(whole.push(text.substr(0, length))));
      outcomes.back() = gather(whole.finish(), outcomes.back());
      ToolCallParser bytes(format, one_name ? weather : kNames, binding, true);
      Outcome same;
      for (const char c : text.substr(0, length)) same = gather(bytes.push(std::string(1, c)), std::move(same));
      EXPECT_EQ(gather(bytes.finish(), std::move(same)), outcomes.front()) << text.substr(0, length);
    }
    EXPECT_EQ(outcomes[0], outcomes[1]) << text.substr(0, length);
    return outcomes[0];
  };
  for (const ToolFormat format : {ToolFormat::kHermes, ToolFormat::kLlama3Json, ToolFormat::kDeepSeek}) {
    const std::string text = "\n" + write_tool_calls(format, std::vector{kWeather});
    const size_t head = text.find("{\"city\"");
    for (size_t length = 1; length <= head; ++length)
      EXPECT_EQ(cut(format, text, length), length == 1 ? content("\n") : content("")) << text.substr(0, length);
    const std::string both = write_tool_calls(format, std::vector{kWeather, kWeather});
    const size_t second = both.rfind("{\"city\"");
    for (size_t length = both.find("Paris") + 20; length <= second; ++length)
      EXPECT_EQ(cut(format, both, length), calls({kWeather})) << both.substr(0, length);
  }
  const std::string hermes = write_tool_calls(ToolFormat::kHermes, std::vector{kWeather});
  const size_t name = hermes.find("get_weather");
  EXPECT_EQ(cut(ToolFormat::kHermes, hermes, name, false), content(""));
  const std::string told = hermes.substr(0, name + 3);
  EXPECT_EQ(cut(ToolFormat::kHermes, hermes, name + 3, false), content(told.c_str())) << "which tool is news";
  EXPECT_EQ(cut(ToolFormat::kHermes, "I look <tool", 12), content("I look"));
  EXPECT_EQ(cut(ToolFormat::kHermes, "x < y", 5), content("x < y"));
}

TEST(ToolParser, ABoundCallThatNoReaderTakesIsNone) {
  for (const char* value : {"1e999", "\"\\ud800\""}) {
    const std::string text =
        "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": " + std::string(value) + "}}\n</tool_call>";
    EXPECT_EQ(parse_every_way(ToolFormat::kHermes, text, CallBinding::kWhole), content(text.c_str()));
    EXPECT_EQ(parse_every_way(ToolFormat::kHermes, text, CallBinding::kPieces),
              calls({{"add", "{\"a\":" + std::string(value) + "}"}}));
  }
}

TEST(ToolFormat, ReadsWhatItWrites) {
  const std::vector<ToolCall> list = {kNow, kWeather, kNow};
  for (const ToolFormat format : {ToolFormat::kHermes, ToolFormat::kLlama3Json, ToolFormat::kDeepSeek})
    EXPECT_EQ(parse_every_way(format, write_tool_calls(format, list)), calls(list));
}

TEST(ToolFormat, IsKnownByNameOrTemplate) {
  for (const std::string& name : kToolFormatNames) EXPECT_EQ(tool_format_named(name).has_value(), name != "auto");
  EXPECT_FALSE(tool_format_named("mistral"));
  EXPECT_EQ(tool_format_of_template("{% if tools %}<tool_call>{% endif %}"), ToolFormat::kHermes);
  EXPECT_EQ(tool_format_of_template("{% if tools %}<｜tool▁call▁begin｜>{% endif %}"), ToolFormat::kDeepSeek);
  EXPECT_EQ(tool_format_of_template("<|start_header_id|>{{ tools }} {\"name\": f, \"parameters\": d}"),
            ToolFormat::kLlama3Json);
  EXPECT_FALSE(tool_format_of_template("<｜tool▁call▁begin｜> of messages only"));
  EXPECT_FALSE(tool_format_of_template("{{ tools }}<tool_call><function=f>")) << "a form that is not read";
  EXPECT_FALSE(tool_format_of_template("{{ messages }}"));
}

}  // namespace
}  // namespace retort
