// The API as clients see it, over sockets, with the fake model behind the real engine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "api_fixture.h"
#include "server/status_routes.h"

namespace retort {
namespace {

using namespace std::chrono_literals;
using testing::ApiTest;
using testing::body_of;
using testing::Client;
using testing::FakeModel;
using ::testing::HasSubstr;
using testing::status_of;

TEST_F(ApiTest, AnswersAChat) {
  start();
  const Json answer = chat("say hello");
  EXPECT_EQ(answer["object"], "chat.completion");
  EXPECT_TRUE(answer["id"].get<std::string>().starts_with("chatcmpl-"));
  EXPECT_EQ(answer["model"], "fake");
  const Json& choice = answer["choices"][0];
  EXPECT_EQ(choice["message"], Json::parse(R"({"role": "assistant", "content": "hello", "refusal": null})"));
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_TRUE(choice["logprobs"].is_null());
  // <|user|>user: say hello\nA: → 1 + 15 + 1 + 2 tokens
  EXPECT_EQ(answer["usage"], Json::parse(R"({"prompt_tokens": 19, "completion_tokens": 6, "total_tokens": 25,
      "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}})"));
}

TEST_F(ApiTest, StreamsAChat) {
  start();
  const auto events = stream("/v1/chat/completions",
                             chat_body("say hello", R"({"stream": true, "stream_options": {"include_usage": true}})"));
  ASSERT_GE(events.size(), 4u);
  EXPECT_EQ(events[0]["choices"][0]["delta"], Json::parse(R"({"role": "assistant", "content": ""})"));
  std::string content, finish;
  for (const Json& event : events) {
    if (event.is_null()) continue;
    EXPECT_EQ(event["object"], "chat.completion.chunk");
    EXPECT_EQ(event["id"], events[0]["id"]);
    for (const Json& choice : event["choices"]) {
      content += choice["delta"].value("content", "");
      EXPECT_TRUE(finish.empty()) << "nothing follows the finish reason";
      if (choice["finish_reason"].is_string()) finish = choice["finish_reason"];
    }
  }
  EXPECT_EQ(content, "hello");
  EXPECT_EQ(finish, "stop");
  EXPECT_TRUE(events.back().is_null()) << "[DONE]";
  const Json& usage = events[events.size() - 2];
  EXPECT_EQ(usage["choices"], Json::array());
  EXPECT_EQ(usage["usage"]["completion_tokens"], 6);
}

TEST_F(ApiTest, KeepsTheFormThatIsAskedFor) {
  start();
  const auto content = [&](const char* more) { return chat("say hello", more)["choices"][0]["message"]["content"]; };
  EXPECT_EQ(content(R"({"structured_outputs": {"regex": "[x-z]{3}"}})").get<std::string>().size(), 3u);
  EXPECT_EQ(content(R"({"structured_outputs": {"choice": ["help", "hello you"]}})"), "hello you");
  const char* schema =
      R"({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"const": [1]}}}})";
  EXPECT_EQ(Json::parse(content(schema).get<std::string>()), Json::array({1}));  // white space is the model's choice
  EXPECT_THAT(error("/v1/chat/completions", chat_body("say hello", R"({"guided_regex": "(a"})"), 400),
              HasSubstr("guided_regex: [grammar] "));
  EXPECT_EQ(content(R"({"structured_outputs": {"regex": "[x-z]{3}", "json_object": false, "json": null}})")
                .get<std::string>()
                .size(),
            3u);
  EXPECT_EQ(error("/v1/chat/completions", chat_body("say hello", R"({"structured_outputs": {"json": false}})"), 400),
            "structured_outputs.json: expected a JSON schema that something fits, got false");
}

TEST_F(ApiTest, EndsThinkingAtItsBudget) {
  start();
  let_it_think();
  const char* question = "say <think>\n0123456789</think>\n\n0123456789 and more";
  const auto free = chat(question)["choices"][0]["message"];
  EXPECT_EQ(free["reasoning"], "0123456789");
  const auto bound = chat(question, R"({"thinking_token_budget": 5})");
  const auto& message = bound["choices"][0]["message"];
  EXPECT_EQ(message["reasoning"], "0123\n");
  EXPECT_THAT(message["content"].get<std::string>(), HasSubstr("and more"));
  for (const char* most : {R"({"reasoning_effort": "high"})", R"({"reasoning_effort": "max"})"})
    EXPECT_EQ(chat(question, most)["choices"][0]["message"]["reasoning"], "0123456789");
  EXPECT_THAT(error("/v1/chat/completions", chat_body("x", R"({"reasoning_effort": "much"})"), 400),
              HasSubstr("reasoning_effort: expected none, minimal"));
}

// What the server writes to end it too, whatever else the request has to say of tokens.
TEST_F(ApiTest, LogprobsHaveTheEndOfThinkingAtItsBudget) {
  start();
  let_it_think();
  const char* question = "say <think>\n0123456789</think>\n\n0123456789 and more";
  const Json plain = chat(question, R"({"thinking_token_budget": 5})");
  for (const char* more : {R"({"thinking_token_budget": 5, "logprobs": true, "top_logprobs": 1})",
                           R"({"thinking_token_budget": 5, "logprobs": true, "bad_words": ["</think>"]})"}) {
    const Json told = chat(question, more);
    EXPECT_EQ(told["choices"][0]["message"], plain["choices"][0]["message"]) << more;
    EXPECT_EQ(told["usage"]["completion_tokens"], plain["usage"]["completion_tokens"]);
    std::string text;
    for (const Json& entry : told["choices"][0]["logprobs"]["content"]) text += entry["token"].get<std::string>();
    EXPECT_THAT(text, ::testing::StartsWith("<think>\n0123\n</think>\n\n"));
    EXPECT_EQ(told["choices"][0]["logprobs"]["content"].size() + 1, told["usage"]["completion_tokens"])
        << "all but the stop token";
  }
}

TEST_F(ApiTest, AFormIsKeptByAModelThatWouldEndInItsThoughts) {
  start();
  let_it_think();
  const Json plain = chat("say <think>hm")["choices"][0]["message"];
  EXPECT_EQ(plain["reasoning"], "hm");
  EXPECT_EQ(plain["content"], "");
  const Json bound = chat("say <think>hm", R"({"structured_outputs": {"choice": ["yes"]}})")["choices"][0];
  EXPECT_EQ(bound["message"]["reasoning"], "hm\n");
  EXPECT_EQ(bound["message"]["content"], "yes");
  EXPECT_EQ(bound["finish_reason"], "stop");
}

TEST_F(ApiTest, AModelThatDoesNotThinkHasNoBudgetForIt) {
  start();
  EXPECT_EQ(error("/v1/chat/completions", chat_body("say hi", R"({"thinking_token_budget": 5})"), 400),
            "thinking_token_budget: the model 'fake' does not think");
  for (const char* of_no_effect : {R"({"thinking_token_budget": -1})", R"({"reasoning_effort": "low"})"})
    EXPECT_EQ(chat("say hi", of_no_effect)["choices"][0]["message"]["content"], "hi");
}

TEST_F(ApiTest, SplitsReasoning) {
  start();
  const Json message = chat("say <think>\nhm</think>\n\nyes")["choices"][0]["message"];
  EXPECT_EQ(message["content"], "yes");
  EXPECT_EQ(message["reasoning"], "hm");
  EXPECT_EQ(message["reasoning_content"], "hm");
  const Json silent = chat("say <think>\nhm</think>\n\nyes", R"({"include_reasoning": false})");
  EXPECT_FALSE(silent["choices"][0]["message"].contains("reasoning"));
  EXPECT_GT(silent["usage"]["completion_tokens_details"]["reasoning_tokens"], 0);
  std::string reasoning, content;
  for (const Json& event :
       stream("/v1/chat/completions", chat_body("say <think>\nhm</think>\n\nyes", R"({"stream": true})"))) {
    if (event.is_null()) continue;
    const Json& delta = event["choices"][0]["delta"];
    EXPECT_EQ(delta.value("reasoning", ""), delta.value("reasoning_content", ""));
    reasoning += delta.value("reasoning", "");
    content += delta.value("content", "");
  }
  EXPECT_EQ(reasoning, "hm");
  EXPECT_EQ(content, "yes");
}

TEST_F(ApiTest, EndsAnAnswerThatGoesRoundInACircle) {
  start();
  const char* laughs = "say ha ha ha ha ha ha ha ha and so on";
  const Json cut = chat(laughs, R"({"repetition_detection": {"max_pattern_size": 8, "min_count": 4}})")["choices"][0];
  EXPECT_EQ(cut["message"]["content"], "ha ha ha ha ");
  EXPECT_EQ(cut["finish_reason"], "stop");
  EXPECT_EQ(cut["stop_reason"], "repetition");
  EXPECT_THAT(ask("GET", "/metrics"), HasSubstr("finished_reason=\"repetition\",model_name=\"fake\"} 1"));
  EXPECT_EQ(chat(laughs)["choices"][0]["message"]["content"], laughs + 4) << "too short for the guard";
  const auto refused = [&](const char* rule) {
    const std::string more = fmt::format(R"({{"repetition_detection": {}}})", rule);
    return error("/v1/chat/completions", chat_body("x", more.c_str()), 400);
  };
  EXPECT_THAT(refused(R"({"max_pattern_size": 3})"),
              HasSubstr("repetition_detection.min_count: expected an integer of at"));
  EXPECT_THAT(refused(R"({"max_pattern_size": 2, "min_pattern_size": 3, "min_count": 2})"),
              HasSubstr("repetition_detection.min_pattern_size: expected at most max_pattern_size (2), got 3"));
  EXPECT_THAT(refused(R"({"max_pattern_size": 5000})"),
              HasSubstr("repetition_detection.max_pattern_size: expected an"));
  EXPECT_THAT(refused("true"), HasSubstr("repetition_detection: expected an object"));
}

TEST_F(ApiTest, GuardsAgainstLoopsByItself) {
  EngineConfig guarded = FakeModel::default_config();
  guarded.repetition_guard = 64;
  start({}, guarded);
  const std::string loop = "say " + std::string(100, 'z');
  EXPECT_EQ(chat(loop)["choices"][0]["stop_reason"], "repetition");
  EXPECT_EQ(chat(loop)["usage"]["completion_tokens"], 64);
  EXPECT_EQ(chat(loop, R"({"repetition_detection": {"max_pattern_size": 0}})")["usage"]["completion_tokens"], 101);
  const Json message = ask_json(
      "POST", "/v1/messages",
      Json{{"model", "fake"}, {"max_tokens", 150}, {"messages", Json::array({{{"role", "user"}, {"content", loop}}})}}
          .dump());
  EXPECT_EQ(message["stop_reason"], "end_turn");
  EXPECT_TRUE(message["stop_sequence"].is_null());
}

TEST_F(ApiTest, StopsAtStopStringsAndLimits) {
  start();
  const Json stopped = chat("say one two three", R"({"stop": [" two"]})")["choices"][0];
  EXPECT_EQ(stopped["message"]["content"], "one");
  EXPECT_EQ(stopped["finish_reason"], "stop");
  EXPECT_EQ(stopped["stop_reason"], " two");
  EXPECT_TRUE(becomes_idle()) << "the engine does not go on after a stop string";
  const Json cut = chat("say one two three", R"({"max_tokens": 3})")["choices"][0];
  EXPECT_EQ(cut["message"]["content"], "one");
  EXPECT_EQ(cut["finish_reason"], "length");
}

TEST_F(ApiTest, GivesSeveralAnswers) {
  start();
  const Json answer = chat("say yes", R"({"n": 3})");
  ASSERT_EQ(answer["choices"].size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(answer["choices"][i]["index"], i);
    EXPECT_EQ(answer["choices"][i]["message"]["content"], "yes");
  }
  EXPECT_EQ(answer["usage"]["completion_tokens"], 12);
  std::map<int, std::string> texts;
  for (const Json& event : stream("/v1/chat/completions", chat_body("say yes", R"({"n": 3, "stream": true})")))
    if (!event.is_null())
      texts[event["choices"][0]["index"].get<int>()] += event["choices"][0]["delta"].value("content", "");
  EXPECT_EQ(texts, (std::map<int, std::string>{{0, "yes"}, {1, "yes"}, {2, "yes"}}));
}

TEST_F(ApiTest, GivesLogprobsOfAChat) {
  start();
  const Json content = chat("say hi", R"({"logprobs": true, "top_logprobs": 2})")["choices"][0]["logprobs"]["content"];
  ASSERT_EQ(content.size(), 2u);
  EXPECT_EQ(content[0]["token"], "h");
  EXPECT_EQ(content[0]["bytes"], Json::parse("[104]"));
  EXPECT_LT(content[0]["logprob"], 0);
  ASSERT_EQ(content[0]["top_logprobs"].size(), 2u);
  EXPECT_EQ(content[0]["top_logprobs"][0]["token"], "h") << "at temperature 0 the most likely is taken";
  EXPECT_EQ(content[0]["top_logprobs"][0]["logprob"], content[0]["logprob"]);
}

TEST_F(ApiTest, GoesOnWithTheLastMessage) {
  start();
  const char* body = R"({"messages": [{"role": "user", "content": "say abc"}, {"role": "assistant", "content": "xyz"}],
                         "continue_final_message": true, "echo": true, "max_tokens": 2})";
  EXPECT_EQ(
      ask_json("POST", "/v1/chat/completions", body)["choices"][0]["message"]["content"].get<std::string>().substr(0,
                                                                                                                   3),
      "xyz");
}

TEST_F(ApiTest, CompletesTexts) {
  start();
  const Json answer = ask_json("POST", "/v1/completions",
                               R"({"model": "fake", "prompt": ["ab", [120, 121]], "max_tokens": 3, "n": 2})");
  EXPECT_EQ(answer["object"], "text_completion");
  EXPECT_TRUE(answer["id"].get<std::string>().starts_with("cmpl-"));
  std::vector<std::string> texts;
  for (const Json& choice : answer["choices"]) texts.push_back(choice["text"]);
  EXPECT_EQ(texts, (std::vector<std::string>{"cde", "cde", "zab", "zab"}));
  EXPECT_EQ(answer["choices"][3]["index"], 3);
  EXPECT_EQ(answer["usage"]["prompt_tokens"], 4);
  EXPECT_EQ(answer["usage"]["completion_tokens"], 12);
}

TEST_F(ApiTest, StreamsCompletions) {
  start();
  std::map<int, std::string> texts;
  const auto events =
      stream("/v1/completions", R"({"prompt": ["ab", "kl"], "max_tokens": 3, "stream": true, "echo": true})");
  for (const Json& event : events)
    if (!event.is_null())
      texts[event["choices"][0]["index"].get<int>()] += event["choices"][0]["text"].get<std::string>();
  EXPECT_EQ(texts, (std::map<int, std::string>{{0, "abcde"}, {1, "klmno"}}));
  EXPECT_TRUE(events.back().is_null());
}

TEST_F(ApiTest, EchoesWithLogprobs) {
  start();
  const Json choice = ask_json("POST", "/v1/completions",
                               R"({"prompt": "abc", "max_tokens": 2, "echo": true, "logprobs": 1})")["choices"][0];
  EXPECT_EQ(choice["text"], "abcde");
  const Json& logprobs = choice["logprobs"];
  EXPECT_EQ(logprobs["tokens"], Json::parse(R"(["a", "b", "c", "d", "e"])"));
  EXPECT_EQ(logprobs["text_offset"], Json::parse("[0, 1, 2, 3, 4]"));
  EXPECT_TRUE(logprobs["token_logprobs"][0].is_null());
  for (size_t i = 1; i < 5; ++i) {
    EXPECT_LT(logprobs["token_logprobs"][i], 0) << i;
    EXPECT_TRUE(logprobs["top_logprobs"][i].contains(logprobs["tokens"][i].get<std::string>())) << i;
  }
  const Json scored = ask_json("POST", "/v1/completions",
                               R"({"prompt": "abc", "max_tokens": 0, "echo": true, "logprobs": 0})")["choices"][0];
  EXPECT_EQ(scored["text"], "abc");
  EXPECT_EQ(scored["logprobs"]["tokens"].size(), 3u);
}

TEST_F(ApiTest, ReturnsTokenIdsAndPromptLogprobs) {
  start();
  const Json answer = ask_json("POST", "/v1/completions",
                               R"({"prompt": "ab", "max_tokens": 1, "return_token_ids": true, "prompt_logprobs": 1})");
  const Json& choice = answer["choices"][0];
  EXPECT_EQ(choice["token_ids"], Json::parse("[99]"));
  EXPECT_EQ(choice["prompt_token_ids"], Json::parse("[97, 98]"));
  ASSERT_EQ(choice["prompt_logprobs"].size(), 2u);
  EXPECT_TRUE(choice["prompt_logprobs"][0].is_null());
  EXPECT_EQ(choice["prompt_logprobs"][1]["98"]["decoded_token"], "b");
}

TEST_F(ApiTest, StreamsBeginWithThePromptsTokenIds) {
  start();
  model_->step_ms = 20;  // so that a chunk is sent before the next token comes
  const auto texts = stream("/v1/completions",
                            R"({"prompt": ["ab", "xy"], "max_tokens": 2, "stream": true, "return_token_ids": true})");
  std::map<int, std::vector<Json>> chunks;
  for (const Json& event : texts)
    if (!event.is_null()) chunks[event["choices"][0]["index"]].push_back(event["choices"][0]);
  EXPECT_EQ(chunks[0][0]["prompt_token_ids"], Json::parse("[97, 98]"));
  EXPECT_EQ(chunks[1][0]["prompt_token_ids"], Json::parse("[120, 121]"));
  ASSERT_GT(chunks[0].size(), 1u);
  EXPECT_FALSE(chunks[0].back().contains("prompt_token_ids"));

  const auto chat =
      stream("/v1/chat/completions", chat_body("say ab", R"({"stream": true, "return_token_ids": true})"));
  EXPECT_GT(chat[0]["prompt_token_ids"].size(), 10u);
  EXPECT_FALSE(chat[1].contains("prompt_token_ids"));
}

class PromptTest : public ApiTest {
 protected:
  std::string prompt(const char* more = "{}") {
    Json body =
        Json::parse(R"({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"},
        {"role": "assistant", "content": "4"}, {"role": "user", "content": "3+3?"}]})");
    body.update(Json::parse(more));
    const Json tokens = ask_json("POST", "/tokenize", body.dump())["tokens"];
    return ask_json("POST", "/detokenize", Json{{"tokens", tokens}}.dump())["prompt"].get<std::string>();
  }
  void serve_with(PromptHabits habits, bool trusts_templates = false) {
    ServedModel model = model_->served();
    model.habits = habits;
    model.trusts_request_templates = trusts_templates;
    app_->set_model(std::move(model));
  }
};

TEST_F(PromptTest, HabitsOfR1ModelsAreTakenWhenAsked) {
  start();
  EXPECT_EQ(prompt(), "<|user|>system: Be brief.\n<|user|>user: 2+2?\n<|user|>assistant: 4\n<|user|>user: 3+3?\nA:");
  serve_with({.folds_system = true});
  EXPECT_EQ(prompt(), "<|user|>user: Be brief.\n\n2+2?\n<|user|>assistant: 4\n<|user|>user: 3+3?\nA:");
  serve_with({.adds_boxed_hint = true});
  const std::string hint = "\nPlease reason step by step, and put your final answer within \\boxed{}.";
  EXPECT_EQ(prompt(), "<|user|>system: Be brief.\n<|user|>user: 2+2?" + hint +
                          "\n<|user|>assistant: 4\n<|user|>user: 3+3?" + hint + "\nA:");
  EXPECT_THAT(prompt(R"({"messages": [{"role": "user", "content": "Use \\boxed{}."}]})"),
              ::testing::EndsWith("boxed{}.\nA:"));
}

TEST_F(PromptTest, TemplatesOfRequestsAreTakenWhereTheyAreTrusted) {
  start();
  constexpr const char* kOwn = R"({"chat_template": "{{ messages[1].content }}{{ eos_token }}"})";
  EXPECT_THAT(error("/v1/chat/completions", chat_body("x", kOwn), 400),
              HasSubstr("chat_template: expected none: this server does not take templates from requests"));
  serve_with({}, true);
  EXPECT_EQ(prompt(kOwn), "2+2?<|end|>");
  EXPECT_EQ(ask_json("POST", "/v1/chat/completions",
                     chat_body("x", R"({"chat_template": "say hi\nA:"})"))["choices"][0]["message"]["content"],
            "hi");
  EXPECT_EQ(prompt().substr(0, 17), "<|user|>system: B") << "the model's own is kept";
  EXPECT_THAT(error("/v1/chat/completions", chat_body("x", R"({"chat_template": "\n{% if %}"})"), 400),
              HasSubstr("line 2"));
  EXPECT_THAT(error("/v1/chat/completions", chat_body("x", R"({"chat_template": "{{ raise_exception('no') }}"})"), 400),
              HasSubstr("no"));
}

TEST_F(ApiTest, SaysWhatIsWrong) {
  start();
  const char* chats = "/v1/chat/completions";
  EXPECT_EQ(error(chats, R"({"messages": [{"role": "user", "content": "x"}], "temprature": 1})", 400),
            "unknown field 'temprature' (did you mean 'temperature'?)");
  EXPECT_EQ(error(chats, R"({"model": "gpt-5", "messages": [{"role": "user", "content": "x"}]})", 404),
            "the model 'gpt-5' does not exist; this server has 'fake'");
  EXPECT_THAT(error(chats, "{", 400), HasSubstr("not valid JSON"));
  EXPECT_EQ(error("/v1/completions", R"({"prompt": ")" + std::string(300, 'x') + R"("})", 400),
            "This model's maximum context length is 256 tokens; the prompt has 300");
  EXPECT_EQ(error("/v1/completions", R"({"prompt": ""})", 400), "the prompt is empty");
  EXPECT_EQ(error("/v1/completions", R"({"prompt": [260]})", 400), "prompt: expected token ids below 260, got 260");
  EXPECT_EQ(error("/v1/completions", R"({"prompt": "a", "stop_token_ids": [999]})", 400),
            "stop_token_ids: expected token ids below 260, got 999");
  const Json too_long = ask_json("POST", "/v1/completions", R"({"prompt": ")" + std::string(300, 'x') + R"("})", 400);
  EXPECT_EQ(too_long["error"]["code"], "context_length_exceeded");
}

TEST_F(ApiTest, TruncatesPromptsWhenAsked) {
  start();
  const Json answer = ask_json("POST", "/v1/completions",
                               R"({"prompt": ")" + std::string(300, 'x') +
                                   R"(abc", "max_tokens": 2, "truncate_prompt_tokens": 2, "echo": true})");
  EXPECT_EQ(answer["choices"][0]["text"], "bcde");
  EXPECT_EQ(answer["usage"]["prompt_tokens"], 2);
}

TEST_F(ApiTest, FillsTheContextWhenNoLimitIsGiven) {
  start();
  const Json answer = ask_json("POST", "/v1/completions", R"({"prompt": "ab", "max_tokens": 100000})");
  EXPECT_EQ(answer["usage"]["total_tokens"], 256);
  EXPECT_EQ(answer["choices"][0]["finish_reason"], "length");
}

TEST_F(ApiTest, KeepsControlTokensOfUsersAsText) {
  start();
  const Json plain = ask_json("POST", "/tokenize", R"({"messages": [{"role": "user", "content": "a<|end|>b"}]})");
  EXPECT_EQ(std::count(plain["tokens"].begin(), plain["tokens"].end(), testing::kEndToken), 0);
  const Json raw = ask_json("POST", "/tokenize", R"({"prompt": "a<|end|>b", "return_token_strs": true})");
  EXPECT_EQ(raw["tokens"], Json::parse("[97, 256, 98]"));
  EXPECT_EQ(raw["token_strs"], Json::parse(R"(["a", "<|end|>", "b"])"));
  EXPECT_EQ(raw["max_model_len"], 256);
  EXPECT_EQ(ask_json("POST", "/detokenize", R"({"tokens": [97, 256, 98]})")["prompt"], "a<|end|>b");
  EXPECT_EQ(error("/detokenize", R"({"tokens": [260]})", 400), "tokens: expected token ids below 260, got 260");
  EXPECT_EQ(error("/tokenize", "{}", 400), "expected either prompt or messages");
}

TEST_F(ApiTest, ListsTheModel) {
  start();
  const Json list = ask_json("GET", "/v1/models");
  EXPECT_EQ(list["object"], "list");
  EXPECT_EQ(list["data"][0]["id"], "fake");
  EXPECT_EQ(list["data"][0]["max_model_len"], 256);
  EXPECT_EQ(ask_json("GET", "/v1/models/fake"), list["data"][0]);
  EXPECT_EQ(ask_json("GET", "/v1/models/other", "", 404)["error"]["code"], "model_not_found");
}

TEST_F(ApiTest, TellsHowItIs) {
  start();
  for (const char* path : {"/health", "/ready", "/ping"}) EXPECT_EQ(ask_json("GET", path)["status"], "ok") << path;
  EXPECT_TRUE(ask_json("GET", "/version").contains("version"));
  chat("say x");
  EXPECT_TRUE(becomes_idle());
  const Json load = ask_json("GET", "/load");
  EXPECT_EQ(load["num_running"], 0);
  EXPECT_GE(load["generated_tokens"], 1);
}

TEST_F(ApiTest, IsNotReadyWhileTheModelLoads) {
  serves_ = false;
  start();
  for (const char* path : {"/health", "/ready", "/ping"})
    EXPECT_EQ(ask_json("GET", path, "", 503)["error"]["message"], "the model is still loading") << path;
  EXPECT_EQ(status_of(ask("GET", "/v1/models")), 503);
  const std::string answer = ask("POST", "/v1/chat/completions", chat_body("say x"));
  EXPECT_EQ(status_of(answer), 503);
  EXPECT_THAT(answer, HasSubstr("Retry-After: "));
}

TEST_F(ApiTest, AnswersHealthWhileAStepRuns) {
  start();
  model_->is_held = true;
  Client busy(port_);
  busy.send(request("POST", "/v1/completions", R"({"prompt": "a", "max_tokens": 5})"));
  wait_until_running();
  EXPECT_EQ(status_of(ask("GET", "/health")), 200);
  model_->is_held = false;
}

TEST_F(ApiTest, TellsOfAFaultOfTheModel) {
  start();
  model_->dies = true;
  const std::string answer = ask("POST", "/v1/completions", R"({"prompt": "a"})");
  EXPECT_EQ(status_of(answer), 500);
  EXPECT_THAT(answer, HasSubstr("the runner died on purpose"));
  model_->dies = false;
  EXPECT_EQ(status_of(ask("POST", "/v1/completions", R"({"prompt": "a"})")), 200) << "the others go on";
}

TEST(Health, KnowsADeadAndAStuckEngine) {
  const auto now = Clock::now();
  EXPECT_EQ(engine_fault({}, now, 60s), "");
  EXPECT_EQ(engine_fault({.step_started = now - 59s}, now, 60s), "");
  EXPECT_EQ(engine_fault({.step_started = now - 1h}, now, 60s),
            "the engine has been in one step for 3600 s, longer than --step-timeout 60 s");
  EXPECT_EQ(engine_fault({.alive = false}, now, 60s), "the engine has stopped");
}

TEST_F(ApiTest, SendsBackWhoDoesNotFitTheQueue) {
  EngineConfig engine = FakeModel::default_config();
  engine.max_num_seqs = 1;
  engine.max_waiting = 1;
  start({}, engine);
  model_->step_ms = 100;
  Client running(port_), waiting(port_);
  const std::string body = request("POST", "/v1/completions", R"({"prompt": "a", "max_tokens": 200})");
  running.send(body);
  wait_until_running();
  waiting.send(body);
  for (int i = 0; i < 500 && model_->engine().stats().num_waiting == 0; ++i) std::this_thread::sleep_for(10ms);
  const std::string answer = ask("POST", "/v1/completions", R"({"prompt": "a"})");
  EXPECT_EQ(status_of(answer), 429);
  EXPECT_THAT(answer, HasSubstr("Retry-After: 1"));
  EXPECT_THAT(answer, HasSubstr("rate_limit_error"));
}

TEST_F(ApiTest, CancelsWhenTheClientLeaves) {
  start();
  model_->step_ms = 20;
  for (const char* body :
       {R"({"prompt": "a", "max_tokens": 250})", R"({"prompt": "a", "max_tokens": 250, "stream": true})"}) {
    Client client(port_);
    client.send(request("POST", "/v1/completions", body));
    wait_until_running();
    const uint64_t generated = model_->engine().stats().generated_tokens;
    client.close();
    EXPECT_TRUE(becomes_idle());
    EXPECT_LT(model_->engine().stats().generated_tokens - generated, 50u);
  }
}

TEST_F(ApiTest, GivesUpAfterTheTimeLimit) {
  start({.request_timeout = 1s});
  model_->step_ms = 100;
  const std::string whole = ask("POST", "/v1/completions", R"({"prompt": "a", "max_tokens": 250})");
  EXPECT_EQ(status_of(whole), 408);
  EXPECT_THAT(whole, HasSubstr("x-should-retry: false"));
  const auto events = stream("/v1/completions", R"({"prompt": "a", "max_tokens": 250, "stream": true})");
  ASSERT_GE(events.size(), 3u);
  EXPECT_TRUE(events.back().is_null());
  EXPECT_EQ(events[events.size() - 2]["error"]["type"], "timeout_error");
  EXPECT_TRUE(becomes_idle());
}

TEST_F(ApiTest, LetsRunningRequestsFinishAndRefusesNewOnes) {
  start();
  model_->step_ms = 50;
  Client client(port_);
  client.send(request("POST", "/v1/completions", R"({"prompt": "a", "max_tokens": 10})"));
  wait_until_running();
  std::thread drain([&] { EXPECT_TRUE(app_->drain(20s)); });
  for (int i = 0; i < 500 && status_of(ask("GET", "/ready")) == 200; ++i) std::this_thread::sleep_for(5ms);
  const std::string refused = ask("POST", "/v1/completions", R"({"prompt": "a"})");
  EXPECT_EQ(status_of(refused), 503);
  EXPECT_THAT(refused, HasSubstr("Retry-After: "));
  EXPECT_THAT(refused, HasSubstr("Connection: close"));
  EXPECT_EQ(status_of(ask("GET", "/health")), 200);
  EXPECT_THAT(client.read_answer(), HasSubstr("bcdefghijk"));
  drain.join();
}

TEST_F(ApiTest, EndsWhatDoesNotFinishInTime) {
  start();
  model_->step_ms = 50;
  Client client(port_);
  client.send(request("POST", "/v1/completions", R"({"prompt": "a", "max_tokens": 250})"));
  wait_until_running();
  EXPECT_FALSE(app_->drain(200ms));
  model_->engine().stop(0ms);
  EXPECT_TRUE(app_->drain(5s));
  const std::string answer = client.read_answer();
  EXPECT_EQ(status_of(answer), 200);
  EXPECT_EQ(Json::parse(body_of(answer))["choices"][0]["finish_reason"], "abort");
}

TEST_F(ApiTest, ServesManyAtOnce) {
  start();
  std::vector<std::thread> clients;
  std::atomic<int> right{0};
  for (int i = 0; i < 24; ++i)
    clients.emplace_back([&, i] {
      const std::string word = fmt::format("word{}", i);
      const Json answer =
          Json::parse(body_of(ask("POST", "/v1/chat/completions", chat_body("say " + word))), nullptr, false);
      if (answer.is_object() && answer.contains("choices") && answer["choices"][0]["message"]["content"] == word)
        ++right;
    });
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(right, 24);
}

TEST_F(ApiTest, ASampleThatHasStoppedIsNotComputedFurther) {
  start();
  model_->step_ms = 5;
  const Json answer =
      ask_json("POST", "/v1/completions",
               R"({"prompt": "z", "n": 8, "max_tokens": 100, "stop": ["aa"], "temperature": 1, "seed": 1,
                                   "allowed_token_ids": [97, 98]})");
  std::vector<size_t> lengths;
  for (const Json& choice : answer["choices"]) lengths.push_back(choice["text"].get<std::string>().size());
  ASSERT_GT(std::ranges::max(lengths), std::ranges::min(lengths) + 10) << "they stop at different times";
  EXPECT_LE(model_->engine().stats().generated_tokens, answer["usage"]["completion_tokens"].get<size_t>() + 16);
  std::map<std::string, int> reasons;
  for (const Json& choice : answer["choices"]) ++reasons[choice["finish_reason"].get<std::string>()];
  const std::string metrics = ask("GET", "/metrics");
  for (const auto& [reason, count] : reasons)
    EXPECT_NE(
        metrics.find(fmt::format(
            R"(vllm:request_success_total{{engine="0",finished_reason="{}",model_name="fake"}} {})", reason, count)),
        std::string::npos)
        << reason;
}

TEST_F(ApiTest, WhatWasHeldBackComesBeforeTheErrorThatEndsAStream) {
  start({.request_timeout = 1s, .degrade = {.timeouts = 0}});
  model_->step_ms = 100;
  for (const char* path : {"/v1/completions", "/v1/chat/completions", "/v1/messages", "/v1/responses"}) {
    const bool is_text = path == std::string_view("/v1/completions");
    const Json said = "say " + std::string(200, 'x');
    Json body = {{"model", "fake"}, {"stream", true}, {"stream_interval", 1000}};
    if (is_text)
      body.update({{"prompt", "a"}, {"max_tokens", 100}});
    else if (path == std::string_view("/v1/responses"))
      body["input"] = said;
    else
      body.update({{"max_tokens", 100}, {"messages", Json::array({{{"role", "user"}, {"content", said}}})}});
    Client client(port_);
    client.send(request("POST", path, body.dump()));
    const std::string text = client.read_until("\r\n0\r\n\r\n");
    EXPECT_THAT(text, HasSubstr(is_text ? "cde" : "xxx")) << path;
    EXPECT_THAT(text, HasSubstr("time limit")) << path;
  }
}

TEST_F(ApiTest, MergesWhatASlowReaderHasNotTakenYet) {
  start();
  const auto events =
      stream("/v1/completions", R"({"prompt": "a", "max_tokens": 200, "stream": true, "stream_interval": 50})");
  std::string text;
  size_t chunks = 0;
  for (const Json& event : events) {
    if (event.is_null()) continue;
    ++chunks;
    text += event["choices"][0]["text"].get<std::string>();
  }
  EXPECT_EQ(text.size(), 200u);
  EXPECT_LE(chunks, 6u);
}

TEST_F(ApiTest, ServesThePageAndItsDescription) {
  start({.api_keys = {"k"}});
  const std::string page = ask("GET", "/");
  EXPECT_EQ(status_of(page), 200) << "the page itself needs no key";
  EXPECT_THAT(page, HasSubstr("Content-Security-Policy: default-src 'none'; script-src 'sha256-"));
  EXPECT_THAT(page, HasSubstr("<title>Retort</title>"));
  Client client(port_);
  client.send("GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer k\r\n\r\n");
  const Json document = Json::parse(body_of(client.read_answer()));
  EXPECT_EQ(document["openapi"], "3.1.0");
  EXPECT_TRUE(document["components"]["schemas"]["ChatRequest"]["properties"].contains("temperature"));
  EXPECT_TRUE(document["paths"].contains("/v1/chat/completions"));
}

}  // namespace
}  // namespace retort
