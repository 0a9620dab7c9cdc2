// OpenAI's responses API, with the fake model behind the real engine.
#include "server/responses/request.h"

#include "api_fixture.h"
#include "server/responses/store.h"

namespace retort {
namespace {

using testing::ApiTest;
using testing::Client;
using ::testing::ElementsAre;
using testing::FakeModel;
using testing::status_of;

class ResponsesTest : public ApiTest {
 protected:
  static std::string body(std::string_view input, const char* more = "{}") {
    Json json = {{"model", "fake"}, {"input", input}};
    json.update(Json::parse(more));
    return json.dump();
  }
  Json create(std::string_view input, const char* more = "{}") {
    return ask_json("POST", "/v1/responses", body(input, more));
  }
  std::string refusal(std::string_view input, const char* more, int status = 400) {
    return error("/v1/responses", body(input, more), status);
  }
  static Json chat_messages(const char* input) {
    auto result = responses::to_chat_messages(Json::parse(input));
    return result ? *result : Json(result.error().message);
  }
  static std::vector<std::string> types_of(const std::vector<Json>& events) {
    std::vector<std::string> types;
    for (const Json& event : events) {
      const std::string type = event["type"];
      if (types.empty() || types.back() != type) types.push_back(type);
    }
    return types;
  }
};

TEST_F(ResponsesTest, AnswersWhole) {
  start();
  const Json answer = create("say hello", R"({"instructions": "be kind", "metadata": {"a": "b"}})");
  EXPECT_EQ(answer["object"], "response");
  EXPECT_EQ(answer["status"], "completed");
  EXPECT_TRUE(answer["id"].get<std::string>().starts_with("resp_"));
  ASSERT_EQ(answer["output"].size(), 1u);
  EXPECT_EQ(answer["output"][0]["type"], "message");
  EXPECT_EQ(answer["output"][0]["status"], "completed");
  EXPECT_EQ(answer["output"][0]["content"][0]["text"], "hello");
  EXPECT_EQ(answer["instructions"], "be kind");
  EXPECT_EQ(answer["metadata"]["a"], "b");
  EXPECT_EQ(answer["usage"]["output_tokens"], 6);
  EXPECT_EQ(answer["usage"]["total_tokens"].get<int>(), answer["usage"]["input_tokens"].get<int>() + 6);
}

TEST_F(ResponsesTest, CountsItsInput) {
  EngineConfig engine = FakeModel::default_config();
  engine.max_model_len = 2048;
  start({}, engine);
  const auto count = [&](const std::string& asked) {
    const Json answer = ask_json("POST", "/v1/responses/input_tokens", asked);
    EXPECT_EQ(answer["object"], "response.input_tokens");
    return answer["input_tokens"];
  };
  const Json first = create("say hello", R"({"instructions": "be kind"})");
  const Json second = {{"input", "say more"}, {"previous_response_id", first["id"]}};
  for (const std::string& asked :
       {body("say hello"), body("say hello", R"({"instructions": "be kind"})"), second.dump(),
        body("say hello", R"({"truncate_prompt_tokens": 9, "stream": false})"),
        body("x", R"({"tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}]})")})
    EXPECT_EQ(count(asked), ask_json("POST", "/v1/responses", asked)["usage"]["input_tokens"]) << asked;
  EXPECT_GT(count(body(std::string(3000, 'x'))), 3000) << "more than the context holds";
  for (const auto& [more, status] : {std::pair(R"({"truncation": "auto"})", 400), std::pair(R"({"model": "no"})", 404),
                                     std::pair(R"({"previous_response_id": "resp_no"})", 404)})
    EXPECT_EQ(error("/v1/responses/input_tokens", body("x", more), status),
              error("/v1/responses", body("x", more), status));
  EXPECT_EQ(status_of(ask("GET", "/v1/responses/input_tokens")), 405);
}

TEST_F(ResponsesTest, TakesVllmsFieldsToo) {
  start();
  const auto text = [&](const char* more) {
    return create("say hello there", more)["output"][0]["content"][0]["text"].get<std::string>();
  };
  EXPECT_EQ(text(R"({"stop": "lo"})"), "hel");
  EXPECT_EQ(text(R"({"stop": ["lo"], "include_stop_str_in_output": true})"), "hello");
  EXPECT_EQ(text(R"({"stop_token_ids": [32]})"), "hello") << "a space";
  EXPECT_EQ(text(R"({"logit_bias": {"104": -100}})")[0] == 'h', false);
  EXPECT_EQ(text(R"({"structured_outputs": {"choice": ["yes"]}})"), "yes");
  EXPECT_EQ(text(R"({"repetition_detection": {"max_pattern_size": 1, "min_count": 2}})"), "hell");
  const auto bounded = responses::parse_request(Json::parse(R"({"input": "x", "thinking_token_budget": 2})"));
  EXPECT_EQ(bounded->thinking_token_budget, 2);
  const char* all = R"({"min_p": 0.1, "top_k": 3, "typical_p": 1, "repetition_penalty": 1, "presence_penalty": 0,
      "frequency_penalty": 0, "seed": 1, "min_tokens": 1, "ignore_eos": false, "bad_words": ["zz"], "allowed_token_ids": null,
      "skip_special_tokens": true, "add_special_tokens": true, "truncate_prompt_tokens": -1, "priority": 2, "cache_salt": "s",
      "stream_interval": 4, "chat_template_kwargs": {"a": 1}})";
  EXPECT_EQ(text(all), "hello there");
  EXPECT_EQ(refusal("x", R"({"min_tokens": 3, "max_output_tokens": 2})"),
            "min_tokens: expected at most max_tokens (2), got 3");
  EXPECT_EQ(refusal("x", R"({"n": 2})"), "unknown field 'n'");
}

TEST_F(ResponsesTest, ItsIdMayBeAskedFor) {
  start();
  EXPECT_EQ(create("say a", R"({"request_id": "mine"})")["id"], "resp_mine");
  EXPECT_EQ(ask_json("GET", "/v1/responses/resp_mine")["output"][0]["content"][0]["text"], "a");
  EXPECT_EQ(refusal("say b", R"({"request_id": "mine"})"), "request_id: there is a response 'resp_mine' already");
  EXPECT_EQ(create("say c", R"({"request_id": "unkept", "store": false})")["id"], "resp_unkept");
  EXPECT_EQ(create("say c", R"({"request_id": "unkept", "store": false})")["id"], "resp_unkept");
}

TEST_F(ResponsesTest, AStreamMayComeInLargerPieces) {
  EngineConfig engine = FakeModel::default_config();
  engine.speculative.num_speculative_tokens = 0;  // a step is a token
  start({}, engine);
  model_->step_ms = 4;  // so that what comes does not gather
  const auto num_deltas = [&](const char* more) {
    const auto events = stream("/v1/responses", body("say twelve words", more));
    return std::ranges::count(events, "response.output_text.delta",
                              [](const Json& event) { return event["type"].get<std::string>(); });
  };
  EXPECT_GT(num_deltas(R"({"stream": true})"), 5);
  EXPECT_LE(num_deltas(R"({"stream": true, "stream_interval": 6})"), 3);
}

TEST_F(ResponsesTest, ReasoningIsAnItem) {
  start();
  const Json answer = create("say <think>\nhm</think>\n\nyes");
  ASSERT_EQ(answer["output"].size(), 2u);
  EXPECT_EQ(answer["output"][0]["type"], "reasoning");
  EXPECT_EQ(answer["output"][0]["content"][0]["text"], "hm");
  EXPECT_EQ(answer["output"][1]["content"][0]["text"], "yes");
  EXPECT_GT(answer["usage"]["output_tokens_details"]["reasoning_tokens"].get<int>(), 0);
}

TEST_F(ResponsesTest, SaysThatItWasCutOff) {
  start();
  const Json cut = create("say hello", R"({"max_output_tokens": 2})");
  EXPECT_EQ(cut["status"], "incomplete");
  EXPECT_EQ(cut["incomplete_details"]["reason"], "max_output_tokens");
  EXPECT_EQ(cut["output"][0]["status"], "incomplete");
  EXPECT_EQ(cut["output"][0]["content"][0]["text"], "he");
}

TEST_F(ResponsesTest, StreamsTheEventsThatMakeIt) {
  start();
  const auto events = stream("/v1/responses", body("say <think>\nhm</think>\n\nyes", R"({"stream": true})"));
  EXPECT_THAT(
      types_of(events),
      ElementsAre("response.created", "response.in_progress", "response.output_item.added",
                  "response.content_part.added", "response.reasoning_text.delta", "response.reasoning_text.done",
                  "response.content_part.done", "response.output_item.done", "response.output_item.added",
                  "response.content_part.added", "response.output_text.delta", "response.output_text.done",
                  "response.content_part.done", "response.output_item.done", "response.completed"));
  std::string reasoning, text;
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i]["sequence_number"], i);
    if (events[i]["type"] == "response.reasoning_text.delta") reasoning += events[i]["delta"];
    if (events[i]["type"] == "response.output_text.delta") text += events[i]["delta"];
  }
  EXPECT_EQ(reasoning, "hm");
  EXPECT_EQ(text, "yes");
  const Json& last = events.back()["response"];
  EXPECT_EQ(last["id"], events[0]["response"]["id"]);
  EXPECT_EQ(last["output"][1]["content"][0]["text"], "yes");
  EXPECT_EQ(events[0]["response"]["output"], Json::array());
  const auto cut = stream("/v1/responses", body("say hello", R"({"stream": true, "max_output_tokens": 2})"));
  EXPECT_EQ(cut.back()["type"], "response.incomplete");
}

TEST_F(ResponsesTest, AnEmptyAnswerHasAMessage) {
  start();
  EXPECT_EQ(create("say ")["output"][0]["content"][0]["text"], "");
  EXPECT_EQ(stream("/v1/responses", body("say ", R"({"stream": true})")).back()["response"]["output"].size(), 1u);
}

TEST_F(ResponsesTest, GoesOnWithAStoredOne) {
  start();
  const Json first = create("say hello", R"({"instructions": "only now"})");
  const std::string more = Json({{"previous_response_id", first["id"]}}).dump();
  const Json second = create("say more", more.c_str());
  EXPECT_EQ(second["previous_response_id"], first["id"]);
  EXPECT_EQ(second["output"][0]["content"][0]["text"], "more");
  // <|user|>user: say hello\n <|user|>assistant: hello\n <|user|>user: say more\n A:
  EXPECT_EQ(second["usage"]["input_tokens"], 17 + 18 + 16 + 2);
  EXPECT_EQ(ask_json("GET", "/v1/responses/" + second["id"].get<std::string>()), second);
}

TEST_F(ResponsesTest, AreThoseOfTheKeyThatAskedForThem) {
  start({.api_keys = {"mine", "other"}});
  const auto ask_as = [&](const char* key, const char* method, const std::string& path, const std::string& body = "") {
    std::string with_key = request(method, path, body);
    with_key.insert(with_key.find("Host: "), fmt::format("Authorization: Bearer {}\r\n", key));
    Client client(port_);
    client.send(with_key);
    return client.read_answer();
  };
  const std::string named = body("say x", R"({"request_id": "one"})"), path = "/v1/responses/resp_one";
  EXPECT_EQ(status_of(ask_as("mine", "POST", "/v1/responses", named)), 200);
  const std::string next = body("say y", R"({"previous_response_id": "resp_one"})");
  EXPECT_EQ(status_of(ask_as("other", "POST", "/v1/responses", next)), 404);
  EXPECT_EQ(status_of(ask_as("other", "GET", path)), 404);
  EXPECT_EQ(status_of(ask_as("other", "DELETE", path)), 404);
  EXPECT_EQ(status_of(ask_as("other", "POST", path + "/cancel")), 404);
  EXPECT_EQ(status_of(ask_as("other", "POST", "/v1/responses", named)), 200) << "the id is free among its own";
  EXPECT_EQ(status_of(ask_as("other", "DELETE", path)), 200);
  EXPECT_EQ(status_of(ask_as("mine", "POST", "/v1/responses", next)), 200);
  EXPECT_EQ(status_of(ask_as("mine", "DELETE", path)), 200);
}

TEST_F(ResponsesTest, AnOutputMayBeThatOfACallBefore) {
  start();
  const Json call = {{"type", "function_call"}, {"call_id", "c1"}, {"name", "look"}, {"arguments", "{}"}};
  const Json output = {{"type", "function_call_output"}, {"call_id", "c1"}, {"output", "say blue"}};
  const Json question = {{"role", "user"}, {"content", "say hello"}};
  const Json first = ask_json("POST", "/v1/responses", Json{{"input", {question, call}}}.dump());
  Json second = {{"input", {output, question}}, {"previous_response_id", first["id"]}};
  EXPECT_EQ(ask_json("POST", "/v1/responses", second.dump())["status"], "completed");
  second["input"][0]["call_id"] = "c2";
  EXPECT_THAT(error("/v1/responses", second.dump(), 400), ::testing::HasSubstr("input[0].call_id: expected the id"));
}

TEST_F(ResponsesTest, TellsWhatTheAnswerWasMadeWith) {
  start();
  const Json answer = create("say hello", R"({"temperature": 0.7, "top_p": 0.85, "max_output_tokens": 900})");
  EXPECT_EQ(answer["temperature"].dump(), "0.7");
  EXPECT_EQ(answer["top_p"].dump(), "0.85");
  EXPECT_EQ(answer["max_output_tokens"], 900);
  EXPECT_TRUE(create("say hello")["max_output_tokens"].is_null());
}

TEST_F(ResponsesTest, TellsWhatADegradedServerMadeOfIt) {
  start({.degrade = {.memory_share = 0}});
  std::string answer;
  for (int i = 0; i < 1000 && answer.find("x-retort-degraded") == std::string::npos; ++i)
    answer = ask("POST", "/v1/responses", body("say hello", R"({"temperature": 0.7, "max_output_tokens": 900})"));
  const Json json = Json::parse(testing::body_of(answer));
  EXPECT_EQ(json["temperature"].dump(), "0.3");
  EXPECT_LE(json["max_output_tokens"], 512);
}

TEST_F(ResponsesTest, SaysThatInputItemsAreNotKept) {
  start();
  const std::string path = "/v1/responses/" + create("say hello")["id"].get<std::string>() + "/input_items";
  EXPECT_THAT(ask_json("GET", path + "?limit=20", "", 404)["error"]["message"].get<std::string>(),
              ::testing::HasSubstr("input items are not kept"));
}

TEST_F(ResponsesTest, KeepsOnlyWhatItMay) {
  start();
  const std::string id = create("say hello", R"({"store": false})")["id"];
  ask_json("GET", "/v1/responses/" + id, "", 404);
  const std::string more = Json({{"previous_response_id", id}}).dump();
  EXPECT_THAT(refusal("x", more.c_str(), 404), ::testing::HasSubstr("there is no response"));
  const std::string kept = create("say hello")["id"];
  EXPECT_EQ(ask_json("DELETE", "/v1/responses/" + kept)["deleted"], true);
  ask_json("GET", "/v1/responses/" + kept, "", 404);
}

TEST_F(ResponsesTest, RefusesByNameWhatItCannotFetchAsAsked) {
  start();
  const std::string path = "/v1/responses/" + create("say hello")["id"].get<std::string>();
  const auto refusal = [&](const std::string& query) { return ask_json("GET", path + query, "", 400)["error"]; };
  EXPECT_EQ(refusal("?stream=true")["message"], "stream: not supported");
  EXPECT_EQ(refusal("?stream=true")["param"], "stream");
  EXPECT_EQ(refusal("?starting_after=3")["message"], "starting_after: not supported");
  EXPECT_EQ(refusal("?include%5B%5D=file_search_call.results")["message"], "include[]: not supported");
  EXPECT_EQ(refusal("?steam=true")["message"], "unknown field 'steam'");
  EXPECT_EQ(ask_json("GET", path + "?stream=false")["status"], "completed");
}

TEST_F(ResponsesTest, IsCancelledById) {
  start();
  model_->step_ms = 20;
  Client client(port_);
  const std::string text = body("say " + std::string(100, 'x'), R"({"stream": true})");
  client.send(request("POST", "/v1/responses", text));
  const std::string begin = client.read_until("response.output_text.delta");
  const size_t at = begin.find("resp_");
  const std::string id = begin.substr(at, begin.find('"', at) - at);
  EXPECT_EQ(ask_json("GET", "/v1/responses/" + id)["status"], "in_progress");
  EXPECT_EQ(ask_json("POST", "/v1/responses/" + id + "/cancel")["status"], "cancelled");
  const std::string rest = client.read_until("\r\n0\r\n\r\n");
  EXPECT_THAT(rest, ::testing::HasSubstr("response.incomplete"));
  EXPECT_EQ(ask_json("GET", "/v1/responses/" + id)["status"], "cancelled");
  EXPECT_EQ(ask_json("POST", "/v1/responses/" + id + "/cancel")["status"], "cancelled") << "ended: as it is";
  ask_json("POST", "/v1/responses/" + id + "/uncancel", "", 405);
}

TEST_F(ResponsesTest, AClientThatLeavesLeavesNothingBehind) {
  start();
  model_->step_ms = 20;
  std::string id;
  {
    Client client(port_);
    client.send(request("POST", "/v1/responses", body("say " + std::string(100, 'x'), R"({"stream": true})")));
    const std::string begin = client.read_until("response.output_text.delta");
    const size_t at = begin.find("resp_");
    id = begin.substr(at, begin.find('"', at) - at);
  }
  EXPECT_TRUE(becomes_idle());
  ask_json("GET", "/v1/responses/" + id, "", 404);
}

TEST_F(ResponsesTest, ConvertsItems) {
  EXPECT_EQ(chat_messages(R"([
      {"role": "developer", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
      {"type": "message", "role": "user", "content": "weather?"},
      {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "t"}]},
      {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
       "content": [{"type": "output_text", "text": "I look.", "annotations": []}]},
      {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look", "arguments": "{}"},
      {"type": "function_call_output", "call_id": "c1", "output": "blue"}])"),
            Json::parse(R"([
      {"role": "system", "content": "a\nb"},
      {"role": "user", "content": "weather?"},
      {"role": "assistant", "content": "I look.", "reasoning_content": "t",
       "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]},
      {"role": "tool", "content": "blue", "tool_call_id": "c1"}])"));
  EXPECT_EQ(chat_messages("[]"), "input: expected a string or a list of at least one item, got []");
  EXPECT_EQ(chat_messages(R"([{"role": "user", "content": [{"type": "input_image"}]}])"),
            "input[0].content[0]: content of type 'input_image' is not supported, only text is");
  EXPECT_EQ(chat_messages(R"([{"role": "user", "content": [{"type": "input_file", "file_data": "x"}]}])"),
            "input[0].content[0]: content of type 'input_file' is not supported, only text is");
  EXPECT_EQ(chat_messages(R"([{"type": "computer_call_output", "acknowledged_safety_checks": []}])"),
            "input[0]: an item of type 'computer_call_output' is not supported");
  EXPECT_EQ(chat_messages(R"([{"type": "function_call_output", "call_id": "c9", "output": "x"}])"),
            "input[0].call_id: expected the id of a call that an earlier message has, got \"c9\"");
  EXPECT_EQ(chat_messages(R"([{"type": "item_reference", "id": "x"}])"),
            "input[0]: an item of type 'item_reference' is not supported");
  EXPECT_EQ(chat_messages(R"([{"type": "function_call_output", "output": "x"}])"),
            "input[0].call_id: required, and missing");
}

TEST_F(ResponsesTest, RefusesByName) {
  start();
  EXPECT_EQ(error("/v1/responses", "{}", 400), "input: required, and missing");
  EXPECT_EQ(refusal("x", R"({"background": true})"), "background: not supported");
  EXPECT_EQ(refusal("x", R"({"truncation": "auto"})"), "truncation: not supported");
  EXPECT_EQ(refusal("x", R"({"include": ["file_search_call.results"]})"),
            "include: 'file_search_call.results' is not supported");
  EXPECT_EQ(refusal("x", R"({"metadata": {"a": 1}})"), "metadata.a: expected a string, got 1");
  EXPECT_EQ(refusal("x", R"({"max_tokens": 1})"), "max_tokens: not supported; use max_output_tokens");
  EXPECT_EQ(error("/v1/responses", R"({"input": [{"type": "reasoning"}]})", 400),
            "input: holds nothing that could be answered");
  EXPECT_EQ(refusal("x", R"({"text": {"format": {"type": "json_schema", "schema": ""}}})"),
            "text.format.schema: expected a JSON schema or its text, got \"\"");
  EXPECT_EQ(refusal("x", R"({"text": {"format": {"type": "json_schema", "schema": "{\"a\": 1, \"a\": 2}"}}})"),
            "text.format.schema: expected every key once, a is there twice");
  EXPECT_EQ(refusal("x", R"({"text": {"format": {"type": "json_schema", "schema": "3"}}})"),
            "text.format.schema: expected a JSON schema, got \"3\"");
}

TEST(ResponseStore, TheOldestMakeRoom) {
  responses::ResponseStore store(2, 1000);
  store.put("a", "first", Json::array());
  store.put("b", "second", Json::array());
  store.put("a", "first again", Json::array());
  EXPECT_EQ(store.response("a"), Json("first again"));
  store.put("c", "third", Json::array());
  EXPECT_FALSE(store.response("b")) << "a was renewed";
  store.put("d", std::string(990, 'x'), Json::array());
  EXPECT_FALSE(store.response("c")) << "too much for both";
  EXPECT_TRUE(store.response("d"));
  store.put("e", std::string(2000, 'x'), Json::array());
  EXPECT_TRUE(store.response("e")) << "one is always kept";
  EXPECT_FALSE(store.response("d"));
}

}  // namespace
}  // namespace retort
