// What keeps the service up when clients, memory or the engine do not behave.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api_fixture.h"

namespace retort {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using testing::ApiTest;
using testing::body_of;
using testing::Client;
using testing::FakeModel;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::status_of;

class GuardsTest : public ApiTest {
 protected:
  template <class Condition>
  static bool comes_true(Condition condition) {
    for (int i = 0; i < 1000 && !condition(); ++i) std::this_thread::sleep_for(10ms);
    return condition();
  }
  std::string degraded() {
    const Json cause = ask_json("GET", "/load")["degraded"];
    return cause.is_null() ? "" : cause.get<std::string>();
  }
  static std::string keyed(std::string_view method, std::string_view path, std::string_view body = "") {
    std::string text = request(method, path, body);
    return text.insert(text.find("\r\n") + 2, "Authorization: Bearer k\r\n");
  }
};

constexpr const char* kAlphabet = R"({"prompt": "a", "max_tokens": 3})";

TEST_F(GuardsTest, HealthTellsOfAStepThatDoesNotEndAndOfItsEnd) {
  start({.step_timeout = 1s});
  model_->step_ms = 2500;
  Client client(port_);
  client.send(request("POST", "/v1/completions", R"({"prompt": "a", "max_tokens": 1})"));
  wait_until_running();
  EXPECT_EQ(status_of(ask("GET", "/health")), 200) << "not yet";
  ASSERT_TRUE(comes_true([&] { return status_of(ask("GET", "/health")) == 503; }));
  for (const char* path : {"/health", "/ping", "/ready"}) {
    const std::string answer = ask("GET", path);
    EXPECT_THAT(answer, HasSubstr("longer than --step-timeout 1 s")) << path;
    EXPECT_THAT(answer, HasSubstr("Retry-After: ")) << path;
  }
  EXPECT_EQ(status_of(client.read_answer()), 200);
  EXPECT_TRUE(comes_true([&] { return status_of(ask("GET", "/health")) == 200; }));
  EXPECT_EQ(status_of(ask("GET", "/ready")), 200);
}

TEST_F(GuardsTest, LimitsHowDeepABodyIsAndHowLongAPrompt) {
  start({.max_json_depth = 3, .max_prompt_chars = 12});
  EXPECT_THAT(error("/v1/completions", R"({"prompt": [[[1]]]})", 400), HasSubstr("nested deeper than 3 levels"));
  EXPECT_EQ(status_of(ask("POST", "/v1/completions", R"({"prompt": "äöüäöüäöüäöü", "max_tokens": 1})")), 200);
  for (const char* path : {"/v1/completions", "/tokenize"})
    EXPECT_THAT(error(path, R"({"prompt": "0123456789012"})", 400),
                HasSubstr("the prompt has 13 characters; this server takes at most 12 (--max-prompt-chars)"))
        << path;
  EXPECT_THAT(error("/v1/embeddings", R"({"input": ["0", "0123456789012"], "model": "fake"})", 400),
              HasSubstr("input[1]: the prompt has 13 characters"));
  EXPECT_THAT(error("/v1/chat/completions", chat_body("say 0123456789"), 400), HasSubstr("characters"));
}

TEST_F(GuardsTest, LimitsTheFormOfAnAnswer) {
  start({.max_schema_bytes = 20});
  const Json refused =
      ask_json("POST", "/v1/completions", R"({"prompt": "a", "guided_regex": "0123456789012345678901"})", 400);
  EXPECT_EQ(refused["error"]["message"], "guided_regex: [grammar] expected at most 20 bytes, got 22");
  EXPECT_EQ(refused["error"]["param"], "guided_regex");
}

TEST_F(GuardsTest, NamesTheFieldThatAsksForMoreSamplesThanRunAtOnce) {
  EngineConfig engine = FakeModel::default_config();
  engine.max_num_seqs = 2;
  start({}, engine);
  EXPECT_EQ(error("/v1/completions", R"({"prompt": "a", "n": 3, "temperature": 1})", 400),
            "n: expected at most 2, what this server generates at once (--max-num-seqs), got 3");
  const Json body = Json::parse(chat_body("say 1", R"({"consensus": {"n": 3}, "temperature": 1})"));
  EXPECT_THAT(error("/v1/chat/completions", body.dump(), 400), HasSubstr("consensus.n: expected at most 2"));
}

TEST_F(GuardsTest, GivesLessWhileDegradedAndSaysSo) {
  EngineConfig engine = FakeModel::default_config();
  engine.max_model_len = 1000;
  start({.degrade = {.memory_share = 0}}, engine);
  ASSERT_TRUE(comes_true([&] { return degraded() == "memory"; }));
  const std::string answer = ask("POST", "/v1/completions", R"({"prompt": "a", "max_tokens": 900})");
  EXPECT_THAT(answer, HasSubstr("x-retort-degraded: memory"));
  EXPECT_EQ(Json::parse(body_of(answer))["usage"]["completion_tokens"], 512);
  const std::string metrics = ask("GET", "/metrics");
  EXPECT_NE(metrics.find("retort_degraded{cause=\"memory\"} 1\n"), std::string::npos);
  EXPECT_NE(metrics.find("retort_degraded{cause=\"timeouts\"} 0\n"), std::string::npos);
  EXPECT_NE(metrics.find("retort_degradations_total{cause=\"memory\"} 1\n"), std::string::npos);
}

TEST_F(GuardsTest, SendsAwayWhileDegradedWhenToldTo) {
  start({.degrade = {.memory_share = 0, .rejects = true, .recovery = 7s}});
  ASSERT_TRUE(comes_true([&] { return degraded() == "memory"; }));
  const std::string answer = ask("POST", "/v1/completions", kAlphabet);
  EXPECT_EQ(status_of(answer), 503);
  EXPECT_THAT(answer, HasSubstr("Retry-After: 7"));
  EXPECT_THAT(answer, HasSubstr("short of memory and takes no new requests for now; please try again in 7 s"));
  EXPECT_EQ(status_of(ask("GET", "/ready")), 503);
  EXPECT_EQ(status_of(ask("GET", "/health")), 200);
  EXPECT_NE(ask("GET", "/metrics").find("reason=\"degraded\"} 1\n"), std::string::npos);
}

TEST_F(GuardsTest, TimeoutsInARowDegradeForAWhile) {
  start({.request_timeout = 1s, .degrade = {.memory_share = 1, .timeouts = 2, .recovery = 2s}});
  model_->step_ms = 300;
  const char* slow = R"({"prompt": "a", "max_tokens": 200})";
  EXPECT_THAT(ask("POST", "/v1/completions", slow), Not(HasSubstr("degraded")));
  EXPECT_EQ(degraded(), "");
  EXPECT_EQ(status_of(ask("POST", "/v1/completions", slow)), 408);
  EXPECT_EQ(degraded(), "timeouts");
  model_->step_ms = 0;
  EXPECT_THAT(ask("POST", "/v1/completions", kAlphabet), HasSubstr("x-retort-degraded: timeouts"));
  EXPECT_NE(ask("GET", "/metrics").find("retort_recoveries_total{cause=\"timeouts\"} 0\n"), std::string::npos);
  EXPECT_TRUE(comes_true([&] { return degraded().empty(); }));
  EXPECT_NE(ask("GET", "/metrics").find("retort_recoveries_total{cause=\"timeouts\"} 1\n"), std::string::npos);
  EXPECT_THAT(ask("POST", "/v1/completions", kAlphabet), Not(HasSubstr("degraded")));
}

TEST_F(GuardsTest, TellsWithinEachStreamThatTheTimeIsUp) {
  start({.request_timeout = 1s, .degrade = {.timeouts = 0}});
  model_->step_ms = 400;
  const char* messages =
      R"("model": "fake", "messages": [{"role": "user", "content": "say 0123456789012345678901234"}])";
  const auto stream_of = [&](const char* path, const std::string& body) {
    Client client(port_);
    client.send(request("POST", path, body));
    const std::string text = client.read_until("\r\n0\r\n\r\n");
    EXPECT_EQ(status_of(text), 200) << path;
    EXPECT_TRUE(text.ends_with("\r\n0\r\n\r\n")) << path;
    return text;
  };
  EXPECT_THAT(stream_of("/v1/chat/completions", fmt::format(R"({{"stream": true, {}}})", messages)),
              AllOf(HasSubstr(R"("type":"timeout_error")"), HasSubstr("data: [DONE]")));
  EXPECT_THAT(stream_of("/v1/messages", fmt::format(R"({{"stream": true, "max_tokens": 100, {}}})", messages)),
              HasSubstr("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"timeout_error\""));
  EXPECT_THAT(stream_of("/api/chat", fmt::format("{{{}}}", messages)),
              HasSubstr("{\"error\":\"the request did not finish within the server's time limit\"}\n"));
  EXPECT_THAT(stream_of("/v1/responses", R"({"stream": true, "input": "say 0123456789012345678901234"})"),
              AllOf(HasSubstr("event: response.failed"), HasSubstr(R"("status":"incomplete")")));
}

TEST_F(GuardsTest, RefusesAtOnceWhileEverythingIsBusy) {
  EngineConfig engine = FakeModel::default_config();
  engine.max_num_seqs = 1;
  engine.max_waiting = 1;
  start({}, engine);
  model_->step_ms = 200;
  Client running(port_), waiting(port_);
  const std::string body = request("POST", "/v1/completions", R"({"prompt": "a", "max_tokens": 200})");
  running.send(body);
  wait_until_running();
  waiting.send(body);
  ASSERT_TRUE(comes_true([&] { return model_->engine().stats().num_waiting == 1; }));
  const auto begin = Clock::now();
  for (int i = 0; i < 20; ++i) {
    const std::string answer = ask("POST", "/v1/completions", kAlphabet);
    EXPECT_EQ(status_of(answer), 429);
    EXPECT_THAT(answer, HasSubstr("Retry-After: 1"));
  }
  EXPECT_LT(Clock::now() - begin, 1s) << "50 ms each, and no work done for them";
}

TEST_F(GuardsTest, APlaceInTheQueueIsFreeOnceItsTimeIsUp) {
  EngineConfig engine = FakeModel::default_config();
  engine.max_num_seqs = 1;
  engine.max_waiting = 1;
  start({.request_timeout = 1s}, engine);
  model_->is_held = true;  // no step ends, and so none that would take note of who has left
  Client running(port_), waiting(port_), next(port_);
  running.send(request("POST", "/v1/completions", kAlphabet));
  wait_until_running();
  waiting.send(request("POST", "/v1/completions", kAlphabet));
  EXPECT_EQ(status_of(waiting.read_answer()), 408);
  EXPECT_EQ(model_->engine().stats().num_waiting, 0);
  next.send(request("POST", "/v1/completions", kAlphabet));
  EXPECT_EQ(status_of(next.read_answer()), 408) << "it was let in";
  model_->is_held = false;
}

TEST_F(GuardsTest, BoundsTheRequestsOfAKey) {
  start({.api_keys = {"k", "other"}, .max_requests_per_key = 2});
  model_->step_ms = 50;
  Client first(port_), second(port_), third(port_);
  const char* body = R"({"prompt": "a", "max_tokens": 100})";
  first.send(keyed("POST", "/v1/completions", body));
  second.send(keyed("POST", "/v1/completions", body));
  ASSERT_TRUE(comes_true([&] { return model_->engine().stats().num_running == 2; }));
  third.send(keyed("POST", "/v1/completions", kAlphabet));
  const std::string refused = third.read_answer();
  EXPECT_EQ(status_of(refused), 429);
  EXPECT_THAT(refused, HasSubstr("this API key has 2 requests under way, as many as it may"));
  EXPECT_THAT(refused, HasSubstr("Retry-After: 1"));
  Client scraper(port_);
  scraper.send(keyed("GET", "/metrics"));
  EXPECT_THAT(scraper.read_answer(), HasSubstr("reason=\"max_requests_per_key\"} 1\n"));
  Client watcher(port_), stranger(port_);
  watcher.send(keyed("GET", "/load"));
  EXPECT_EQ(status_of(watcher.read_answer()), 200) << "to look is always allowed";
  std::string others = keyed("POST", "/v1/completions", kAlphabet);
  others.replace(others.find("Bearer k"), 8, "Bearer other");
  stranger.send(others);
  EXPECT_EQ(status_of(stranger.read_answer()), 200);
  first.close();
  EXPECT_TRUE(comes_true([&] {
    Client again(port_);
    again.send(keyed("POST", "/v1/completions", kAlphabet));
    return status_of(again.read_answer()) == 200;
  })) << "the place of one that left is free again";
}

// What never gets as far as its handler.
TEST_F(GuardsTest, RefusesInTheShapeOfTheApi) {
  start({.api_keys = {"k"}, .max_body_bytes = 100, .max_header_bytes = 1000});
  const std::string large(101, ' '), long_header = "X-Long: " + std::string(2000, 'x') + "\r\n";
  const auto ask_with = [&](std::string text, std::string_view header) {
    Client client(port_);
    client.send(text.insert(text.find("\r\n") + 2, header));
    return client.read_answer();
  };
  for (const std::string path : {"/v1/messages", "/v1/messages/count_tokens", "/api/chat", "/api/embed", "/api/none"}) {
    const bool is_ollama = path.starts_with("/api/");
    const bool is_path = path != "/api/none";
    const auto check = [&](const std::string& answer, int status, const char* type) {
      EXPECT_EQ(status_of(answer), status) << path;
      const Json body = Json::parse(body_of(answer), nullptr, false);
      const Json error = body.value("error", Json());
      if (is_ollama) {
        EXPECT_TRUE(error.is_string()) << answer;
      } else {
        EXPECT_EQ(body.value("type", ""), "error") << answer;
        EXPECT_EQ(error.value("type", ""), type) << answer;
      }
    };
    check(ask("POST", path, "{}"), 401, "authentication_error");
    check(ask_with(request("POST", path, "{}"), long_header), 431, "invalid_request_error");
    check(ask_with(keyed("DELETE", path), ""), is_path ? 405 : 404, "invalid_request_error");
    if (!is_path) continue;
    check(ask_with(keyed("POST", path, large), ""), 413, "request_too_large");
    check(ask_with(keyed("POST", path, "{}"), "Transfer-Encoding: gzip\r\n"), 400, "invalid_request_error");
    std::string text = keyed("POST", path, "{}");
    text.replace(text.find("application/json"), 16, "text/plain");
    check(ask_with(text, "Origin: http://localhost\r\n"), 415, "invalid_request_error");
  }
}

TEST_F(GuardsTest, RefusesWhatIsTooMuchAtOnceInTheShapeOfTheApi) {
  start({.api_keys = {"k", "other"}, .max_body_bytes = 1000, .max_held_body_bytes = 1000, .max_requests_per_key = 1});
  model_->step_ms = 50;
  Client running(port_), too_many(port_), too_large(port_);
  const std::string body = R"({"prompt": "a", "max_tokens": 100})";
  running.send(keyed("POST", "/v1/completions", body + std::string(900, ' ')));
  wait_until_running();
  too_many.send(keyed("POST", "/v1/messages", "{}"));
  EXPECT_THAT(too_many.read_answer(), HasSubstr(R"({"type":"error","error":{"type":"rate_limit_error",)"));
  std::string others = keyed("POST", "/v1/messages", std::string(200, ' '));
  others.replace(others.find("Bearer k"), 8, "Bearer other");
  too_large.send(others);
  EXPECT_THAT(too_large.read_answer(), HasSubstr(R"({"type":"error","error":{"type":"overloaded_error",)"));
}

TEST_F(GuardsTest, AdminNeedsToBeSwitchedOn) {
  start({.api_keys = {"k"}});
  for (const auto& [method, path] : {std::pair("POST", "/reset_prefix_cache"), std::pair("GET", "/server_info")}) {
    Client client(port_);
    client.send(keyed(method, path));
    EXPECT_EQ(status_of(client.read_answer()), 404) << path;
  }
}

TEST_F(GuardsTest, AdminResetsTheCacheAndTellsTheConfiguration) {
  start({.api_keys = {"k"}, .enable_admin = true});
  const auto ask_keyed = [&](std::string_view method, std::string_view path, std::string_view body = "") {
    Client client(port_);
    client.send(keyed(method, path, body));
    return client.read_answer();
  };
  const auto num_cached = [&] {
    const std::string body = R"({"max_tokens": 1, "prompt": ")" + std::string(100, 'x') + R"("})";
    return Json::parse(
               body_of(ask_keyed("POST", "/v1/completions", body)))["usage"]["prompt_tokens_details"]["cached_tokens"]
        .get<int>();
  };
  EXPECT_EQ(num_cached(), 0);
  EXPECT_EQ(num_cached(), 99);
  EXPECT_EQ(status_of(ask("POST", "/reset_prefix_cache")), 401);
  EXPECT_EQ(status_of(ask_keyed("POST", "/reset_prefix_cache")), 200);
  EXPECT_EQ(num_cached(), 0);
  EXPECT_EQ(num_cached(), 99);
  EXPECT_EQ(status_of(ask("GET", "/server_info")), 401);
  const Json info = Json::parse(body_of(ask_keyed("GET", "/server_info")));
  EXPECT_EQ(info["model"]["id"], "fake");
  EXPECT_EQ(info["engine"]["max_model_len"], 256);
  EXPECT_EQ(info["server"]["num_api_keys"], 1);
  EXPECT_GT(info["machine"]["memory_limit"], 0);
  EXPECT_EQ(info.dump().find("\"k\""), std::string::npos) << "no key";
}

}  // namespace
}  // namespace retort
