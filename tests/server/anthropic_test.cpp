// Anthropic's API, with the fake model behind the real engine.
#include "api_fixture.h"
#include "server/anthropic/request.h"

namespace retort {
namespace {

using testing::ApiTest;
using testing::FakeModel;

class AnthropicTest : public ApiTest {
 protected:
  static std::string body(std::string_view content, const char* more = "{}") {
    Json json = {
        {"model", "fake"}, {"max_tokens", 100}, {"messages", Json::array({{{"role", "user"}, {"content", content}}})}};
    json.update(Json::parse(more));
    return json.dump();
  }
  Json message(std::string_view content, const char* more = "{}") {
    return ask_json("POST", "/v1/messages", body(content, more));
  }
  std::string message_error(std::string_view content, const char* more, int status = 400) {
    const Json json = ask_json("POST", "/v1/messages", body(content, more), status);
    EXPECT_EQ(json["type"], "error");
    return json["error"]["message"].get<std::string>();
  }
  static Json chat_messages(const char* conversation, const Json& system = {}) {
    auto result = anthropic::to_chat_messages(system, Json::parse(conversation));
    return result ? *result : Json(result.error().message);
  }
};

TEST_F(AnthropicTest, AnswersAMessage) {
  start();
  const Json answer = message("say hello");
  EXPECT_EQ(answer["type"], "message");
  EXPECT_EQ(answer["role"], "assistant");
  EXPECT_TRUE(answer["id"].get<std::string>().starts_with("msg_"));
  EXPECT_EQ(answer["content"], Json::parse(R"([{"type": "text", "text": "hello"}])"));
  EXPECT_EQ(answer["stop_reason"], "end_turn");
  EXPECT_TRUE(answer["stop_sequence"].is_null());
  EXPECT_EQ(answer["usage"]["input_tokens"], 19);
  EXPECT_EQ(answer["usage"]["output_tokens"], 6);
}

TEST_F(AnthropicTest, TakesVllmsFieldsToo) {
  start();
  const auto text = [&](const char* more) {
    return message("say hello there", more)["content"][0]["text"].get<std::string>();
  };
  const Json stopped = message("say hello there", R"({"stop_token_ids": [32]})");
  EXPECT_EQ(stopped["content"][0]["text"], "hello") << "a space";
  EXPECT_EQ(stopped["stop_reason"], "end_turn");
  EXPECT_EQ(text(R"({"stop_sequences": ["lo"], "include_stop_str_in_output": true})"), "hello");
  EXPECT_NE(text(R"({"logit_bias": {"104": -100}})")[0], 'h');
  EXPECT_EQ(text(R"({"guided_choice": ["yes"]})"), "yes");
  EXPECT_EQ(text(R"({"repetition_detection": {"max_pattern_size": 1, "min_count": 2}})"), "hell");
  const char* all =
      R"({"min_p": 0.1, "typical_p": 1, "repetition_penalty": 1, "presence_penalty": 0, "frequency_penalty": 0,
      "seed": 1, "min_tokens": 1, "ignore_eos": false, "bad_words": ["zz"], "allowed_token_ids": null,
      "skip_special_tokens": true, "add_special_tokens": true, "truncate_prompt_tokens": -1, "priority": 2, "cache_salt": "s",
      "request_id": "mine"})";
  const Json answer = message("say hello there", all);
  EXPECT_EQ(answer["content"][0]["text"], "hello there");
  EXPECT_EQ(answer["id"], "msg_mine");
  EXPECT_EQ(message_error("x", R"({"min_tokens": 101})"), "min_tokens: expected at most max_tokens (100), got 101");
  EXPECT_EQ(message_error("x", R"({"n": 2})"), "unknown field 'n'");
}

TEST_F(AnthropicTest, AStreamMayComeInLargerPieces) {
  EngineConfig engine = FakeModel::default_config();
  engine.speculative.num_speculative_tokens = 0;  // a step is a token
  start({}, engine);
  model_->step_ms = 4;  // so that what comes does not gather
  const auto num_deltas = [&](const char* more) {
    const auto events = stream("/v1/messages", body("say twelve words", more));
    return std::ranges::count(events, "content_block_delta",
                              [](const Json& event) { return event["type"].get<std::string>(); });
  };
  EXPECT_GT(num_deltas(R"({"stream": true})"), 5);
  EXPECT_LE(num_deltas(R"({"stream": true, "stream_interval": 6})"), 3);
}

TEST(AnthropicRequest, TheTemplatesVariablesMayBeGiven) {
  const auto variables = [](const char* more) {
    Json body = {{"model", "m"}, {"max_tokens", 1}, {"messages", Json::array({{{"role", "user"}, {"content", "x"}}})}};
    body.update(Json::parse(more));
    const auto request = anthropic::parse_messages(body);
    return request ? request->chat_template_kwargs : Json(request.error().message);
  };
  EXPECT_EQ(variables(R"({"chat_template_kwargs": {"a": 1}})"), Json::parse(R"({"a": 1})"));
  EXPECT_EQ(variables(R"({"chat_template_kwargs": {"a": 1}, "thinking": {"type": "disabled"}})"),
            Json::parse(R"({"a": 1, "enable_thinking": false})"));
  EXPECT_EQ(variables(R"({"thinking": {"type": "disabled"}, "chat_template_kwargs": {"enable_thinking": true}})"),
            Json::parse(R"({"enable_thinking": true})"));
  EXPECT_EQ(variables(R"({"chat_template_kwargs": {"messages": []}})"),
            "chat_template_kwargs: 'messages' has a field of its own");
}

TEST_F(AnthropicTest, ReasoningIsAThinkingBlock) {
  start();
  constexpr std::string_view kThoughtful = "say <think>\nhm</think>\n\nyes";
  EXPECT_EQ(
      message(kThoughtful)["content"],
      Json::parse(R"([{"type": "thinking", "thinking": "hm", "signature": ""}, {"type": "text", "text": "yes"}])"));
  EXPECT_EQ(message(kThoughtful, R"({"thinking": {"type": "disabled"}})")["content"],
            Json::parse(R"([{"type": "text", "text": "yes"}])"));
  EXPECT_EQ(
      message(kThoughtful, R"({"thinking": {"type": "adaptive", "display": "omitted"}})")["content"][0]["thinking"],
      "");
  EXPECT_GT(message(kThoughtful)["usage"]["output_tokens_details"]["thinking_tokens"].get<int>(), 0);
}

TEST_F(AnthropicTest, SaysWhyItStopped) {
  start();
  const Json stopped = message("say hello", R"({"stop_sequences": ["l"]})");
  EXPECT_EQ(stopped["content"][0]["text"], "he");
  EXPECT_EQ(stopped["stop_reason"], "stop_sequence");
  EXPECT_EQ(stopped["stop_sequence"], "l");
  EXPECT_EQ(message("say hello", R"({"max_tokens": 2})")["stop_reason"], "max_tokens");
  const std::string endless = "say " + std::string(115, 'x');
  EXPECT_EQ(message(endless, R"({"max_tokens": 9999})")["stop_reason"], "end_turn");
  EXPECT_EQ(message("say " + std::string(125, 'x'), R"({"max_tokens": 9999})")["stop_reason"],
            "model_context_window_exceeded");
}

TEST_F(AnthropicTest, StreamsBlocks) {
  start();
  const auto events = stream("/v1/messages", body("say <think>\nhm</think>\n\nyes", R"({"stream": true})"));
  std::vector<std::string> types;
  std::string thinking, text;
  for (const Json& event : events) {
    const std::string type = event["type"];
    if (type == "content_block_delta") {
      thinking += event["delta"].value("thinking", "");
      text += event["delta"].value("text", "");
      EXPECT_EQ(event["index"], event["delta"]["type"] == "thinking_delta" ? 0 : 1);
    }
    if (types.empty() || types.back() != type) types.push_back(type);
  }
  EXPECT_EQ(thinking, "hm");
  EXPECT_EQ(text, "yes");
  EXPECT_THAT(types, ::testing::ElementsAre("message_start", "content_block_start", "content_block_delta",
                                            "content_block_stop", "content_block_start", "content_block_delta",
                                            "content_block_stop", "message_delta", "message_stop"));
  EXPECT_EQ(events[0]["message"]["content"], Json::array());
  EXPECT_TRUE(events[0]["message"]["stop_reason"].is_null());
  const Json& end = events[events.size() - 2];
  EXPECT_EQ(end["delta"]["stop_reason"], "end_turn");
  EXPECT_GT(end["usage"]["output_tokens"].get<int>(), 5);
}

TEST_F(AnthropicTest, ConvertsConversations) {
  EXPECT_EQ(chat_messages(R"([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b",
                               "cache_control": {"type": "ephemeral"}}]}])",
                          "be brief"),
            Json::parse(R"([{"role": "system", "content": "be brief"}, {"role": "user", "content": "a\nb"}])"));
  EXPECT_EQ(chat_messages(R"([
      {"role": "user", "content": "weather?"},
      {"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": ""}, {"type": "text", "text": "I look."},
          {"type": "tool_use", "id": "c1", "name": "look", "input": {"at": "sky"}}]},
      {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "blue"}]},
          {"type": "text", "text": "so?"}]}])"),
            Json::parse(R"([
      {"role": "user", "content": "weather?"},
      {"role": "assistant", "content": "I look.", "reasoning_content": "t",
       "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{\"at\":\"sky\"}"}}]},
      {"role": "tool", "content": "blue", "tool_call_id": "c1"},
      {"role": "user", "content": "so?"}])"));
  EXPECT_EQ(chat_messages("[]"), "messages: expected a list of at least one message, got []");
  EXPECT_EQ(chat_messages(R"([{"role": "user", "content": [{"type": "image", "source": {}}]}])"),
            "messages[0].content[0]: a block of type 'image' is not supported here, only text and tool_result");
  EXPECT_EQ(chat_messages(R"([{"role": "user", "content": [{"type": "image"}]}])"),
            "messages[0].content[0]: a block of type 'image' is not supported here, only text and tool_result");
  EXPECT_EQ(chat_messages(R"([{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c9"}]}])"),
            "messages[0].content[0].tool_use_id: expected the id of a call that an earlier message has, got \"c9\"");
  EXPECT_EQ(chat_messages(R"([{"role": "user", "content": 5}])"),
            "messages[0].content: expected a string or a list of content blocks, got 5");
  EXPECT_EQ(chat_messages(R"([{"role": "robot", "content": "x"}])"),
            "messages[0].role: expected user, assistant or system, got \"robot\"");
  EXPECT_EQ(chat_messages(R"([{"role": "user", "content": []}])"), "messages: expected some content, got none");
}

TEST_F(AnthropicTest, GoesOnWithAnOpenTurn) {
  start();
  const auto parsed = anthropic::parse_messages(Json::parse(
      R"({"model": "fake", "max_tokens": 5, "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]})"));
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->continue_final_message);
}

TEST_F(AnthropicTest, CountsTokens) {
  start();
  const char* body = R"({"model": "fake", "messages": [{"role": "user", "content": "say hello"}]})";
  EXPECT_EQ(ask_json("POST", "/v1/messages/count_tokens", body), Json::parse(R"({"input_tokens": 19})"));
}

TEST_F(AnthropicTest, RefusesInItsShape) {
  start();
  EXPECT_EQ(message_error("x", R"({"max_tokens": null})"), "max_tokens: required, and missing");
  EXPECT_EQ(message_error("x", R"({"thinking": {"type": "sometimes"}})"),
            "thinking.type: expected enabled, adaptive or disabled, got \"sometimes\"");
  EXPECT_EQ(message_error("x", R"({"thinking": {"type": "enabled"}})"),
            "thinking.budget_tokens: required where type is enabled, and missing");
  EXPECT_EQ(message_error("x", R"({"thinking": {"type": "adaptive", "budget_tokens": 5}})"),
            "thinking.budget_tokens: not with the type adaptive");
  EXPECT_EQ(message_error("x", R"({"max_tokens": 5, "thinking": {"type": "enabled", "budget_tokens": 5}})"),
            "thinking.budget_tokens: expected less than max_tokens (5), got 5");
  EXPECT_EQ(message("say hi",
                    R"({"max_tokens": 6, "thinking": {"type": "enabled", "budget_tokens": 5}})")["content"][0]["text"],
            "hi")
      << "of no effect where there is no thinking";
  EXPECT_EQ(message_error("x", R"({"container": "c"})"), "container: not supported");
  EXPECT_EQ(ask_json("POST", "/v1/messages", body("x", R"({"thread": {"type": "create"}})"), 400)["error"]["details"],
            Json({{"error_code", "thread_unsupported_request"}}));
  EXPECT_EQ(message_error("x", R"({"output_config": {"format": {"type": "json_schema", "schema": "3"}}})"),
            "output_config.format.schema: expected a JSON schema, got \"3\"");
  EXPECT_EQ(message_error("x", R"({"model": "other"})", 404),
            "the model 'other' does not exist; this server has 'fake'");
  EXPECT_EQ(ask_json("POST", "/v1/messages", body("x", R"({"model": "other"})"), 404)["error"]["type"],
            "not_found_error");
}

TEST_F(AnthropicTest, TakesTheKeyAsItsClientsSendIt) {
  start({.api_keys = {"secret"}});
  testing::Client client(port_);
  const std::string text = body("say hello");
  client.send(
      fmt::format("POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nx-api-key: secret\r\n"
                  "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
                  text.size(), text));
  EXPECT_EQ(testing::status_of(client.read_answer()), 200);
  EXPECT_EQ(testing::status_of(ask("POST", "/v1/messages", text)), 401);
}

}  // namespace
}  // namespace retort
