// Tools over the API: what is offered, demanded, called and answered. The fake model says what it is told to, a byte a
// token.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api_fixture.h"
#include "server/openai/chat_request.h"
#include "server/tools/tool_use.h"

namespace retort {
namespace {

using testing::ApiTest;
using testing::FakeModel;
using ::testing::HasSubstr;
using testing::status_of;

constexpr const char* kTools = R"("tools": [
  {"type": "function", "function": {"name": "get_weather", "description": "The weather.", "parameters":
    {"type": "object", "properties": {"city": {"enum": ["Paris", "Oslo"]}}, "required": ["city"], "additionalProperties": false}}},
  {"type": "function", "function": {"name": "now"}}])";

std::string with_tools(std::string_view more = "") {
  return fmt::format("{{{}{}{}}}", kTools, more.empty() ? "" : ", ", more);
}

class ToolsTest : public ApiTest {
 protected:
  void SetUp() override {
    EngineConfig engine = FakeModel::default_config();
    engine.max_model_len = 4096;
    start({}, engine);
  }
  Json answer(std::string_view content, std::string_view more = "") {
    return chat(content, with_tools(more).c_str())["choices"][0];
  }
  // The choice that the chunks of a stream make, as the SDKs put it together.
  Json streamed(std::string_view content, std::string_view more = "") {
    const std::string body =
        chat_body(content, with_tools(fmt::format("\"stream\": true{}{}", more.empty() ? "" : ", ", more)).c_str());
    Json message = {{"role", "assistant"}, {"content", nullptr}, {"refusal", nullptr}};
    Json finish;
    for (const Json& event : stream("/v1/chat/completions", body)) {
      if (event.is_null()) continue;
      const Json& choice = event["choices"][0];
      const Json& delta = choice["delta"];
      if (const std::string text = delta.value("content", ""); !text.empty())
        message["content"] = message["content"].is_null() ? text : message["content"].get<std::string>() + text;
      for (const Json& part : delta.value("tool_calls", Json::array())) add_part(part, message["tool_calls"]);
      if (choice["finish_reason"].is_string()) finish = choice["finish_reason"];
    }
    return {{"message", message}, {"finish_reason", finish}};
  }
  static void add_part(const Json& part, Json& calls) {
    if (calls.is_null()) calls = Json::array();
    const size_t index = part["index"];
    if (index == calls.size()) {
      EXPECT_TRUE(part["id"].get<std::string>().starts_with("call_"));
      EXPECT_EQ(part["type"], "function");
      EXPECT_EQ(part["function"]["arguments"], "");
      calls.push_back({{"function", part["function"]}});
    } else {
      EXPECT_EQ(index + 1, calls.size());
      EXPECT_FALSE(part.contains("id") || part["function"].contains("name")) << "the SDKs would join them";
      Json& arguments = calls[index]["function"]["arguments"];
      arguments = arguments.get<std::string>() + part["function"]["arguments"].get<std::string>();
    }
  }
  static Json functions_of(const Json& choice) {
    Json functions = Json::array();
    for (const Json& call : choice["message"].value("tool_calls", Json::array())) functions.push_back(call["function"]);
    return functions;
  }
};

constexpr std::string_view kWeatherCall =
    "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>";
constexpr std::string_view kNowCall = R"(<tool_call>{"name": "now"}</tool_call>)";

TEST_F(ToolsTest, CallsComeApart) {
  const Json choice = answer(fmt::format("say {}", kWeatherCall));
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  const Json& message = choice["message"];
  EXPECT_TRUE(message["content"].is_null());
  ASSERT_EQ(message["tool_calls"].size(), 1u);
  const Json& call = message["tool_calls"][0];
  EXPECT_TRUE(call["id"].get<std::string>().starts_with("call_"));
  EXPECT_EQ(call["type"], "function");
  EXPECT_EQ(call["function"], Json::parse(R"({"name": "get_weather", "arguments": "{\"city\":\"Oslo\"}"})"));
}

TEST_F(ToolsTest, AStreamSaysTheSame) {
  const std::string scripts[] = {
      std::string(kWeatherCall),
      std::string(kNowCall),
      fmt::format("{}\n{}{}", kNowCall, kWeatherCall, kNowCall),
      fmt::format("Let me see.\n\n{}", kWeatherCall),
      fmt::format("One. {} Two. {} Three.", kNowCall, kNowCall),
      "no call at all",
      "  spaces  ",
      "<tool_call>{\"name\": \"fly\"}</tool_call>",
      "<tool_call>{\"name\": \"now\", \"arguments\": {",
      "<tool_call>{oops}</tool_call>",
      "<tool_call> is a mark <tool",
      "é <tool_call>{\"name\": \"now\", \"arguments\": {\"é\": \"</tool_call>\"}}</tool_call>",
  };
  for (const std::string& script : scripts) {
    const Json whole = answer("say " + script), stream = streamed("say " + script);
    EXPECT_EQ(functions_of(stream), functions_of(whole)) << script;
    EXPECT_EQ(stream["message"]["content"], whole["message"]["content"]) << script;
    EXPECT_EQ(stream["finish_reason"], whole["finish_reason"]) << script;
  }
}

// The texts of the parts that the arguments of a call come in.
std::vector<std::string> argument_parts(const std::vector<Json>& events) {
  std::vector<std::string> parts;
  for (const Json& event : events) {
    if (event.is_null()) continue;
    for (const Json& call : event["choices"][0]["delta"].value("tool_calls", Json::array()))
      if (!call.contains("id")) parts.push_back(call["function"]["arguments"]);
  }
  return parts;
}

TEST_F(ToolsTest, AStreamShowsABoundCallWhileItIsWritten) {
  model_->step_ms = 4;  // so that what comes does not gather
  const std::string strict = "\"tools\": " + [] {
    Json tools = Json::parse(with_tools())["tools"];
    tools[0]["function"]["strict"] = true;
    return tools.dump();
  }();
  const std::string calls = fmt::format("say {}\n{}", kWeatherCall, kWeatherCall);
  struct Case {
    std::string content, more;
  };
  const Case cases[] = {
      {calls, R"("tool_choice": "required")"},
      {calls, R"("tool_choice": {"type": "function", "function": {"name": "get_weather"}})"},
      {calls, R"("tool_choice": "required", "parallel_tool_calls": false)"},
      {fmt::format("say Well.\n{} There.", kWeatherCall), strict},
      {"say <think>hm</think>" + std::string(kWeatherCall), strict},
  };
  for (const auto& [content, more] : cases) {
    const Json whole = answer(content, more), stream = streamed(content, more);
    EXPECT_EQ(functions_of(stream), functions_of(whole)) << more;
    EXPECT_EQ(functions_of(whole)[0]["arguments"], R"({"city":"Oslo"})");
    EXPECT_EQ(stream["message"]["content"], whole["message"]["content"]);
    EXPECT_EQ(stream["finish_reason"], "tool_calls");
    EXPECT_EQ(whole["finish_reason"], "tool_calls");
    const auto parts_with = [&](std::string_view interval) {
      const std::string body =
          fmt::format(R"({{{}, "stream": true, "stream_interval": {}, {}}})", kTools, interval, more);
      return argument_parts(this->stream("/v1/chat/completions", chat_body(content, body.c_str()))).size();
    };
    const std::string body = fmt::format(R"({{{}, "stream": true, {}}})", kTools, more);
    for (const Json& event : this->stream("/v1/chat/completions", chat_body(content, body.c_str())))
      if (!event.is_null() && !event["choices"][0]["finish_reason"].is_null())
        EXPECT_FALSE(event["choices"][0]["delta"].contains("tool_calls")) << more << ": the SDKs end a call there";
    EXPECT_GE(parts_with("1"), 4u) << more << ": a byte is a token here";
    EXPECT_LE(parts_with("100"), 2 * functions_of(whole).size()) << "their beginnings and their ends";
  }
  EXPECT_EQ(argument_parts(stream("/v1/chat/completions", chat_body(calls, with_tools(R"("stream": true)").c_str()))),
            std::vector<std::string>(2, R"({"city":"Oslo"})"))
      << "what nothing binds may yet turn out to be no call";
}

TEST_F(ToolsTest, ABoundCallIsTheSameInEveryFormat) {
  for (const ToolFormat format : {ToolFormat::kHermes, ToolFormat::kLlama3Json, ToolFormat::kDeepSeek}) {
    ServedModel model = model_->served();
    model.tool_format = format;
    app_->set_model(std::move(model));
    const char* choice = R"("tool_choice": {"type": "function", "function": {"name": "get_weather"}})";
    EXPECT_EQ(functions_of(streamed("say x", choice)), functions_of(answer("say x", choice)));
  }
}

TEST_F(ToolsTest, AStreamsBoundCallMayBeCutOff) {
  const std::string more = R"("tool_choice": "required", "max_tokens": 50)";
  const std::string content = fmt::format("say {}", kWeatherCall);
  const Json stream = streamed(content, more), whole = answer(content, more);
  EXPECT_EQ(stream["finish_reason"], "length");
  ASSERT_EQ(functions_of(stream).size(), 1u) << "what was sent cannot be taken back";
  EXPECT_EQ(functions_of(stream)[0]["arguments"], "{");
  EXPECT_EQ(whole["finish_reason"], "length");
  EXPECT_TRUE(functions_of(whole).empty());
  EXPECT_EQ(whole["message"]["content"], std::string(kWeatherCall.substr(0, 50)));
}

TEST_F(ToolsTest, ManyWaysToAsk) {
  const std::string call = fmt::format("say <think>hm</think>{}{}", kNowCall, kNowCall);
  let_it_think();
  const Json choice = answer(call, R"("n": 2, "temperature": 0, "logprobs": true)");
  EXPECT_EQ(choice["message"]["reasoning"], "hm");
  EXPECT_EQ(functions_of(choice).size(), 2u);
  EXPECT_GT(choice["logprobs"]["content"].size(), 60u) << "the tokens of calls have theirs too";
  EXPECT_EQ(functions_of(answer(call, R"("parallel_tool_calls": false)")).size(), 1u);
  EXPECT_EQ(answer(call, R"("max_tokens": 20)")["finish_reason"], "length");
  const Json none = answer(call, R"("tool_choice": "none")");
  EXPECT_THAT(none["message"]["content"].get<std::string>(), HasSubstr("<tool_call>"));
  EXPECT_FALSE(none["message"].contains("tool_calls"));
}

TEST_F(ToolsTest, WhatIsDemandedIsHeldTo) {
  const auto functions = [&](std::string_view choice) {
    return functions_of(answer("say nothing of the kind, Oslo",
                               fmt::format(R"("tool_choice": {}, "parallel_tool_calls": false)", choice)));
  };
  EXPECT_EQ(functions(R"("required")").size(), 1u);
  const Json named = functions(R"({"type": "function", "function": {"name": "get_weather"}})");
  ASSERT_EQ(named.size(), 1u);
  EXPECT_EQ(named[0]["name"], "get_weather");
  EXPECT_THAT(named[0]["arguments"].get<std::string>(), ::testing::AnyOf(R"({"city":"Paris"})", R"({"city":"Oslo"})"));
}

TEST_F(ToolsTest, WhatIsDemandedIsHeldToByAModelThatWouldEndInItsThoughts) {
  let_it_think();
  const Json free = answer("say <think>hm", R"("tool_choice": "auto")");
  EXPECT_EQ(free["finish_reason"], "stop");
  const Json bound = answer("say <think>hm", R"("tool_choice": "required", "parallel_tool_calls": false)");
  EXPECT_EQ(bound["message"]["reasoning"], "hm\n");
  EXPECT_EQ(bound["finish_reason"], "tool_calls");
  EXPECT_EQ(functions_of(bound).size(), 1u);
}

// Though the model goes on calling, and the request does not say parallel_tool_calls.
TEST_F(ToolsTest, ANamedToolIsCalledOnce) {
  const std::string calls = fmt::format("say {}\n{}", kWeatherCall, kWeatherCall);
  const char* named = R"("tool_choice": {"type": "function", "function": {"name": "get_weather"}})";
  for (const Json& choice : {answer(calls, named), streamed(calls, named)}) {
    EXPECT_EQ(functions_of(choice).size(), 1u);
    EXPECT_EQ(choice["finish_reason"], "tool_calls");
  }
  EXPECT_EQ(functions_of(answer(calls, R"("tool_choice": "required")")).size(), 2u);
}

TEST_F(ToolsTest, CallsOfStrictToolsAreHeldToTheirSchemas) {
  const auto functions = [&](std::string_view strict, std::string_view call) {
    const Json body = {{"model", "fake"},
                       {"messages", {{{"role", "user"}, {"content", fmt::format("say Well. {} Done.", call)}}}},
                       {"tools", Json::parse(fmt::format("{{{}}}", kTools))["tools"]},
                       {"max_tokens", 200}};
    Json tools = body["tools"];
    tools[0]["function"]["strict"] = strict == "get_weather";
    tools[1]["function"]["strict"] = strict == "now";
    Json asked = body;
    asked["tools"] = tools;
    return functions_of(ask_json("POST", "/v1/chat/completions", asked.dump())["choices"][0]);
  };
  const auto call = [](std::string_view name, std::string_view arguments) {
    return fmt::format("<tool_call>\n{{\"name\": \"{}\", \"arguments\": {}}}\n</tool_call>", name, arguments);
  };
  const std::string wrong = call("get_weather", R"({"city": "Bonn"})");
  EXPECT_EQ(functions("", wrong)[0]["arguments"], R"({"city":"Bonn"})");
  EXPECT_EQ(functions("now", wrong)[0]["arguments"], R"({"city":"Bonn"})") << "it is not the strict one";
  const Json held = functions("get_weather", wrong);
  ASSERT_EQ(held.size(), 1u);
  EXPECT_THAT(held[0]["arguments"].get<std::string>(), ::testing::AnyOf(R"({"city":"Paris"})", R"({"city":"Oslo"})"));
  EXPECT_EQ(functions("get_weather", kWeatherCall)[0]["arguments"], R"({"city":"Oslo"})");
  EXPECT_EQ(functions("get_weather", call("fly", "{}")).size(), 1u) << "no other name can be written";
}

TEST_F(ToolsTest, EveryFormatCanBeDemanded) {
  for (const ToolFormat format : {ToolFormat::kHermes, ToolFormat::kLlama3Json, ToolFormat::kDeepSeek}) {
    ServedModel model = model_->served();
    model.tool_format = format;
    app_->set_model(std::move(model));
    const Json choice = answer("say x", R"("tool_choice": {"type": "function", "function": {"name": "get_weather"}})");
    ASSERT_GE(functions_of(choice).size(), 1u) << choice;
    EXPECT_EQ(choice["finish_reason"], "tool_calls");
    EXPECT_TRUE(choice["message"]["content"].is_null());
  }
}

TEST_F(ToolsTest, JsonOrACall) {
  const char* format =
      R"("response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"const": "said"}}})";
  const Json called = answer("say <tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>", format);
  EXPECT_EQ(functions_of(called).size(), 1u) << called;
  const Json said = answer("say \"said\"", format);
  EXPECT_EQ(said["message"]["content"], "\"said\"");
  EXPECT_THAT(error("/v1/chat/completions", chat_body("x", with_tools(R"("guided_regex": "a")").c_str()), 400),
              HasSubstr("guided_regex: cannot be used together with tools"));
}

TEST_F(ToolsTest, BadToolsAreRefusedByName) {
  const auto message = [&](const char* more) { return error("/v1/chat/completions", chat_body("x", more), 400); };
  EXPECT_EQ(message(R"({"tools": {}})"), "tools: expected a list of tools, got {}");
  EXPECT_EQ(message(R"({"tools": [{"type": "web_search"}]})"), R"(tools[0].type: expected function, got "web_search")");
  EXPECT_EQ(message(R"({"tools": [{"type": "function"}]})"), "tools[0].function: required, and missing");
  EXPECT_EQ(message(R"({"tools": [{"type": "function", "function": {"name": "a b"}}]})"),
            R"(tools[0].function.name: expected a name of up to 128 letters, digits and _-.:/, got "a b")");
  EXPECT_EQ(message(R"({"tools": [{"type": "function", "function": {"name": "a", "parameters": 5}}]})"),
            "tools[0].function.parameters: expected a JSON schema of type object, got 5");
  EXPECT_EQ(
      message(
          R"({"tools": [{"type": "function", "function": {"name": "a"}}, {"type": "function", "function": {"name": "a"}}]})"),
      "tools[1].function: expected names that differ, 'a' is that of tools[0].function too");
  EXPECT_EQ(message(R"({"tool_choice": "required"})"), "tool_choice: expected tools beside it, there are none");
  EXPECT_EQ(message(with_tools(R"("tool_choice": {"type": "function", "function": {"name": "fly"}})").c_str()),
            "tool_choice: expected the name of a tool (get_weather, now), got 'fly'");
  EXPECT_THAT(message(with_tools(R"("tool_choice": "always")").c_str()),
              HasSubstr("tool_choice: expected none, auto, required"));
  EXPECT_THAT(message(with_tools(R"("tool_choice": {"type": "allowed_tools"})").c_str()),
              HasSubstr("tool_choice.type: expected function"));
  const char* strict = R"({"tools": [{"type": "function", "function": {"name": "a", "strict": true, "parameters":
      {"type": "object", "properties": {"x": {"type": "array", "uniqueItems": true}}}}}]})";
  EXPECT_THAT(message(strict), ::testing::AllOf(HasSubstr("tools[0].function.parameters: "), HasSubstr("uniqueItems")));
}

// Whatever their schema leaves open, and whatever the model would write.
TEST_F(ToolsTest, ArgumentsAreAnObject) {
  const auto body = [](std::string_view schema, std::string_view choice, bool is_strict) {
    const Json tool = {{"type", "function"},
                       {"function", {{"name", "f"}, {"parameters", Json::parse(schema)}, {"strict", is_strict}}}};
    const Json more = {{"tools", Json::array({tool})},
                       {"tool_choice", Json::parse(choice)},
                       {"parallel_tool_calls", false},
                       {"max_tokens", 400}};
    return chat_body("say <tool_call>\n{\"name\": \"f\", \"arguments\": 5}}}\n</tool_call>", more.dump().c_str());
  };
  const char* schemas[] = {
      "{}",
      R"({"description": "anything"})",
      R"({"properties": {"a": {"const": 1}}})",
      R"({"properties": {"a": {"const": 1}}, "required": ["a"]})",
      R"({"type": ["number", "object"], "properties": {}})",
      R"({"minimum": 3, "items": {"const": 1}})",
      R"({"enum": [5, {"a": 1}]})",
      R"({"anyOf": [{"type": "number"}, {"properties": {"a": {"const": 1}}, "required": ["a"]}]})",
      R"({"oneOf": [{"type": "number"}, {"type": "object", "properties": {}}]})",
      R"({"$ref": "#/$defs/a", "$defs": {"a": {"maxItems": 2}}})",
  };
  const std::tuple<const char*, bool> demands[] = {
      {R"("required")", false},
      {R"({"type": "function", "function": {"name": "f"}})", false},
      {R"("auto")", true},
  };
  for (const char* schema : schemas) {
    for (const auto& [choice, is_strict] : demands) {
      const Json called = ask_json("POST", "/v1/chat/completions", body(schema, choice, is_strict))["choices"][0];
      ASSERT_EQ(functions_of(called).size(), 1u) << schema << choice << called;
      const std::string arguments = functions_of(called)[0]["arguments"];
      EXPECT_TRUE(Json::parse(arguments).is_object()) << schema << arguments;
    }
  }
}

TEST_F(ToolsTest, SchemasThatNoObjectFitsAreRefusedByName) {
  struct Api {
    std::string path, where;
    const char *body, *tool, *demand;
  };
  constexpr const char* kChat = R"({"model": "fake", "messages": [{"role": "user", "content": "x"}]})";
  constexpr const char* kWrapped = R"({"type": "function", "function": {"name": "f"}})";
  const Api apis[] = {
      {"/v1/chat/completions", "tools[0].function.parameters", kChat, kWrapped, R"("required")"},
      {"/v1/responses", "tools[0].parameters", R"({"input": "x"})", R"({"type": "function", "name": "f"})",
       R"("required")"},
      {"/v1/messages", "tools[0].input_schema",
       R"({"model": "fake", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]})", R"({"name": "f"})",
       R"({"type": "any"})"},
      {"/api/chat", "tools[0].function.parameters", kChat, kWrapped, "null"},
  };
  const auto expect_refusal = [&](const Api& api, const char* schema, const Json& choice, std::string_view why) {
    Json body = Json::parse(api.body), tool = Json::parse(api.tool);
    Json& declaration = tool.contains("function") ? tool["function"] : tool;
    declaration[api.where.substr(api.where.rfind('.') + 1)] = Json::parse(schema);
    body["tools"] = Json::array({tool});
    if (!choice.is_null()) body["tool_choice"] = choice;
    const Json error = ask_json("POST", api.path, body.dump(), 400)["error"];
    const std::string message = error.is_string() ? error : error["message"];
    EXPECT_THAT(message, ::testing::StartsWith(fmt::format("{}: {}", api.where, why))) << api.path << schema;
    if (error.contains("param")) EXPECT_EQ(error["param"], api.where);
  };
  for (const Api& api : apis) {
    for (const char* schema : {R"({"type": "array"})", R"({"type": ["string", "null"]})", R"({"type": 5})", "true"})
      expect_refusal(api, schema, {}, "expected a JSON schema of type object, got ");
    if (const Json choice = Json::parse(api.demand); !choice.is_null())
      expect_refusal(api, R"({"oneOf": [{"type": "string"}, {"type": "number"}]})", choice, "");
  }
}

TEST_F(ToolsTest, ThePromptTellsOfThem) {
  const auto prompt = [&](const char* body) {
    const Json tokens = ask_json("POST", "/tokenize", body)["tokens"];
    return ask_json("POST", "/detokenize", Json{{"tokens", tokens}}.dump())["prompt"].get<std::string>();
  };
  const std::string offered =
      prompt(fmt::format(R"({{"messages": [{{"role": "user", "content": "hi"}}], {}}})", kTools).c_str());
  EXPECT_THAT(offered, ::testing::StartsWith("<|user|>system: # Tools"));
  EXPECT_THAT(offered,
              HasSubstr(R"({"type":"function","function":{"name":"get_weather","description":"The weather.")"));
  EXPECT_THAT(offered,
              HasSubstr("<tool_call>\n{\"name\": \"NAME\", \"arguments\": {\"ARGUMENT\": VALUE}}\n</tool_call>"));
  EXPECT_THAT(offered, HasSubstr("<|user|>user: hi"));

  EXPECT_EQ(prompt(R"({"messages": [
      {"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"},
      {"role": "assistant", "content": "I look.", "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}},
        {"id": "2", "type": "function", "function": {"name": "g", "arguments": ""}}]},
      {"role": "tool", "tool_call_id": "1", "content": "one"}, {"role": "tool", "tool_call_id": "2", "content": "two"}]})"),
            "<|user|>system: Be brief.\n<|user|>user: hi\n<|user|>assistant: I look.\n"
            "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>\n"
            "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>\n"
            "<|user|>user: <tool_response>\none\n</tool_response>\n<tool_response>\ntwo\n</tool_response>\nA:");
}

TEST_F(ToolsTest, AnthropicsShape) {
  const auto body = [](std::string_view say, std::string_view more) {
    return fmt::format(
        R"({{"model": "fake", "max_tokens": 500, "messages": [{{"role": "user", "content": {}}}], "tools":
        [{{"name": "get_weather", "input_schema": {{"type": "object", "properties": {{"city": {{"enum": ["Oslo", "Paris"]}}}},
           "required": ["city"]}}}}, {{"name": "now"}}]{}}})",
        Json(say).dump(), more);
  };
  const std::string script = fmt::format("say One. {}{} Two.", kWeatherCall, kNowCall);
  const Json message = ask_json("POST", "/v1/messages", body(script, ""));
  EXPECT_EQ(message["stop_reason"], "tool_use");
  ASSERT_EQ(message["content"].size(), 4u) << message;
  EXPECT_EQ(message["content"][1]["name"], "get_weather");
  EXPECT_EQ(message["content"][1]["input"], Json::parse(R"({"city": "Oslo"})"));
  EXPECT_TRUE(message["content"][1]["id"].get<std::string>().starts_with("toolu_"));
  EXPECT_EQ(message["content"][2]["input"], Json::object());

  Json blocks = Json::array();
  for (const Json& event : stream("/v1/messages", body(script, R"(, "stream": true)"))) {
    if (event["type"] == "content_block_start") {
      EXPECT_EQ(event["index"], blocks.size());
      blocks.push_back(event["content_block"]);
    }
    if (event["type"] != "content_block_delta") continue;
    const Json& delta = event["delta"];
    Json& block = blocks.back();
    if (delta["type"] == "text_delta")
      block["text"] = block["text"].get<std::string>() + delta["text"].get<std::string>();
    else
      block["input"] = Json::parse(delta["partial_json"].get<std::string>());
  }
  ASSERT_EQ(blocks.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    blocks[i].erase("id");
    Json whole = message["content"][i];
    whole.erase("id");
    EXPECT_EQ(blocks[i], whole);
  }

  const std::string called = fmt::format("say {}", kWeatherCall);
  const std::string choice =
      R"(, "tool_choice": {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": true})";
  const Json demanded = ask_json("POST", "/v1/messages", body(called, choice));
  ASSERT_EQ(demanded["content"].size(), 1u) << demanded;
  EXPECT_EQ(demanded["content"][0]["input"], Json::parse(R"({"city": "Oslo"})"));
  model_->step_ms = 4;  // so that what comes does not gather
  std::string input;
  size_t num_deltas = 0, num_starts = 0;
  for (const Json& event : stream("/v1/messages", body(called, choice + R"(, "stream": true)"))) {
    num_starts += event["type"] == "content_block_start";
    if (event["type"] != "content_block_delta") continue;
    ++num_deltas;
    input += event["delta"]["partial_json"].get<std::string>();
  }
  EXPECT_EQ(num_starts, 1u);
  EXPECT_EQ(input, R"({"city":"Oslo"})");
  EXPECT_GT(num_deltas, 1u) << "a bound call is shown while it is written";
  EXPECT_EQ(error("/v1/messages", body("x", R"(, "tool_choice": {"type": "maybe"})"), 400),
            R"(tool_choice.type: expected auto, any, tool or none, got "maybe")");
  const Json formed = ask_json(
      "POST", "/v1/messages", R"({"model": "fake", "max_tokens": 50, "messages": [{"role": "user", "content": "say x"}],
      "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"const": 7}}}})");
  EXPECT_EQ(formed["content"][0]["text"], "7");
}

TEST_F(ToolsTest, OllamasShape) {
  const auto body = [](std::string_view say, std::string_view more) {
    return fmt::format(R"({{"model": "fake", "messages": [{{"role": "user", "content": {}}}], {}{}}})",
                       Json(say).dump(), kTools, more);
  };
  const Json answer = ask_json("POST", "/api/chat", body(fmt::format("say {}", kWeatherCall), R"(, "stream": false)"));
  EXPECT_EQ(answer["message"]["tool_calls"],
            Json::parse(R"([{"function": {"name": "get_weather", "arguments": {"city": "Oslo"}}}])"));
  EXPECT_EQ(answer["done_reason"], "stop");
  const std::string lines = ask("POST", "/api/chat", body(fmt::format("say {}", kNowCall), ""));
  EXPECT_EQ(status_of(lines), 200);
  Json strict = Json::parse(body(fmt::format("say {}", kWeatherCall), ""));
  strict["tools"][0]["function"]["strict"] = true;
  model_->step_ms = 4;  // so that what comes does not gather
  testing::Client client(port_);
  client.send(request("POST", "/api/chat", strict.dump()));
  EXPECT_THAT(client.read_until("\r\n0\r\n\r\n"),
              HasSubstr(R"("tool_calls":[{"function":{"name":"get_weather","arguments":{"city":"Oslo"}}}])"))
      << "a stream has its arguments as one object, also where they are bound";
  const Json formed =
      ask_json("POST", "/api/chat", R"({"model": "fake", "stream": false, "format": {"const": 7}, "messages": [
      {"role": "user", "content": "hi"},
      {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "now", "arguments": {"a": 1}}}]},
      {"role": "tool", "tool_name": "now", "content": "noon"}, {"role": "user", "content": "say x"}]})");
  EXPECT_EQ(formed["message"]["content"], "7");
  EXPECT_THAT(ask("POST", "/api/chat", body("x", R"(, "format": "yaml")")),
              HasSubstr("format: expected json or a JSON schema"));
}

TEST_F(ToolsTest, TheResponsesShape) {
  const auto body = [](std::string_view say, std::string_view more) {
    return fmt::format(
        R"({{"model": "fake", "input": {}, "tools": [{{"type": "function", "name": "get_weather", "parameters":
        {{"type": "object", "properties": {{"city": {{"enum": ["Oslo", "Paris"]}}}}, "required": ["city"]}}, "strict": true}},
        {{"type": "function", "name": "now"}}]{}}})",
        Json(say).dump(), more);
  };
  const std::string script = fmt::format("say One. {}{}", kWeatherCall, kNowCall);
  const Json whole = ask_json("POST", "/v1/responses", body(script, ""));
  EXPECT_EQ(whole["status"], "completed");
  ASSERT_EQ(whole["output"].size(), 3u) << whole;
  EXPECT_EQ(whole["output"][1]["type"], "function_call");
  EXPECT_EQ(whole["output"][1]["arguments"], R"({"city":"Oslo"})");
  EXPECT_TRUE(whole["output"][1]["call_id"].get<std::string>().starts_with("call_"));

  const auto events = stream("/v1/responses", body(script, R"(, "stream": true)"));
  EXPECT_EQ(std::ranges::count(events, "response.function_call_arguments.done",
                               [](const Json& event) { return event["type"].get<std::string>(); }),
            2);
  Json last = events.back()["response"]["output"];
  ASSERT_EQ(last.size(), 3u);
  for (size_t i = 0; i < 3; ++i)
    EXPECT_EQ(last[i].value("arguments", Json()), whole["output"][i].value("arguments", Json()));

  model_->step_ms = 4;  // so that what comes does not gather
  const std::string call_in_pieces =
      body(fmt::format("say {}", kWeatherCall), R"(, "tool_choice": "required", "stream": true)");
  std::string deltas, done;
  size_t num_deltas = 0;
  const auto bound = stream("/v1/responses", call_in_pieces);
  for (const Json& event : bound) {
    if (event["type"] == "response.function_call_arguments.done") done = event["arguments"];
    if (event["type"] != "response.function_call_arguments.delta") continue;
    deltas += event["delta"].get<std::string>();
    ++num_deltas;
  }
  EXPECT_GT(num_deltas, 1u);
  EXPECT_EQ(deltas, R"({"city":"Oslo"})");
  EXPECT_EQ(done, deltas);
  EXPECT_EQ(bound.back()["response"]["output"][0]["arguments"], deltas);

  const Json cut = stream("/v1/responses", body(fmt::format("say {}", kWeatherCall),
                                                R"(, "tool_choice": "required", "stream": true,
                                                   "max_output_tokens": 60)"))
                       .back()["response"];
  EXPECT_EQ(cut["status"], "incomplete");
  ASSERT_EQ(cut["output"].size(), 1u) << cut;
  EXPECT_EQ(cut["output"][0]["status"], "incomplete");
  const Json after_cut =
      ask_json("POST", "/v1/responses",
               fmt::format(R"({{"model": "fake", "previous_response_id": {}, "input": "say on"}})", cut["id"].dump()));
  EXPECT_EQ(after_cut["output"][0]["content"][0]["text"], "on") << "what was cut off is no part of the conversation";

  const Json next = ask_json("POST", "/v1/responses",
                             fmt::format(R"({{"model": "fake", "previous_response_id": {}, "input": [
      {{"type": "function_call_output", "call_id": {}, "output": "sunny"}}, {{"role": "user", "content": "say done"}}]}})",
                                         whole["id"].dump(), whole["output"][1]["call_id"].dump()));
  EXPECT_EQ(next["output"][0]["content"][0]["text"], "done") << next;

  const Json demanded = ask_json(
      "POST", "/v1/responses",
      body("say x", R"(, "tool_choice": {"type": "function", "name": "get_weather"}, "parallel_tool_calls": false)"));
  ASSERT_EQ(demanded["output"].size(), 1u) << demanded;
  const Json formed =
      ask_json("POST", "/v1/responses", R"({"model": "fake", "input": "say x", "reasoning": {"effort": "low"},
      "text": {"format": {"type": "json_schema", "name": "seven", "schema": {"const": 7}}}})");
  EXPECT_EQ(formed["output"][0]["content"][0]["text"], "7");
  EXPECT_EQ(formed["text"]["format"]["name"], "seven");
  EXPECT_EQ(formed["reasoning"]["effort"], "low");
  EXPECT_THAT(error("/v1/responses", R"({"input": "x", "tools": [{"type": "web_search"}]})", 400),
              HasSubstr("tools[0].type: expected function"));
}

}  // namespace
}  // namespace retort
