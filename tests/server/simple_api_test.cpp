// POST /generate and /generate-batch, with the fake model behind the real engine.
#include "api_fixture.h"

namespace retort {
namespace {

using testing::ApiTest;
using testing::body_of;
using testing::Client;
using ::testing::HasSubstr;
using testing::status_of;

class SimpleApiTest : public ApiTest {
 protected:
  // Without a body and without a Content-Type, as `curl -X POST` sends it.
  std::string post_query(std::string_view target, std::string_view more_headers = "") {
    Client client(port_);
    client.send(fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", target, more_headers));
    return client.read_answer();
  }
};

TEST_F(SimpleApiTest, AnswersAPrompt) {
  start();
  const Json answer = ask_json("POST", "/generate", R"({"prompt": "say hello", "temperature": 0})");
  EXPECT_EQ(answer["response"], "hello");
  EXPECT_EQ(answer["finish_reason"], "stop");
  EXPECT_FALSE(answer.contains("reasoning"));
  EXPECT_GT(answer["latency_ms"].get<double>(), 0);
}

TEST_F(SimpleApiTest, KeepsReasoningApart) {
  start();
  const Json answer =
      ask_json("POST", "/generate", R"({"prompt": "say <think>\nhm</think>\n\nyes", "temperature": 0})");
  EXPECT_EQ(answer["response"], "yes");
  EXPECT_EQ(answer["reasoning"], "hm");
}

TEST_F(SimpleApiTest, HonoursTheFields) {
  start();
  const Json cut = ask_json("POST", "/generate", R"({"prompt": "say hello", "max_tokens": 2, "temperature": 0})");
  EXPECT_EQ(cut["response"], "he");
  EXPECT_EQ(cut["finish_reason"], "length");
  EXPECT_EQ(error("/generate", R"({"max_tokens": 2})", 400), "prompt: required, and missing");
  EXPECT_EQ(error("/generate", R"({"prompt": "x", "max_tokens": 0})", 400),
            "max_tokens: expected an integer from 1 to 2147483647, got 0");
  EXPECT_EQ(error("/generate", R"({"prompt": "x", "temprature": 1})", 400),
            "unknown field 'temprature' (did you mean 'temperature'?)");
  EXPECT_EQ(error("/generate", "[]", 400), "the body: expected an object, got []");
  EXPECT_THAT(error("/generate", Json({{"prompt", std::string(300, 'x')}}).dump(), 400),
              HasSubstr("maximum context length is 256 tokens"));
}

TEST_F(SimpleApiTest, TakesQueryParameters) {
  start();
  const std::string answer = post_query("/generate?prompt=say+hi%20there&max_tokens=4&temperature=0");
  ASSERT_EQ(status_of(answer), 200) << answer;
  EXPECT_EQ(Json::parse(body_of(answer))["response"], "hi t");
  const auto message = [&](std::string_view target) {
    const std::string refused = post_query(target);
    EXPECT_EQ(status_of(refused), 400) << refused;
    return Json::parse(body_of(refused))["error"]["message"].get<std::string>();
  };
  EXPECT_EQ(message("/generate?prompt=x&max_tokens=many"),
            "max_tokens: expected an integer from 1 to 2147483647, got \"many\"");
  EXPECT_EQ(message("/generate?prompt=x&prompt=y"), "prompt: given twice in the query");
  EXPECT_EQ(message("/generate?max_tokens=1"), "prompt: required, and missing");
  EXPECT_EQ(message("/generate?prompt=%ff"), "the query of the request target is not UTF-8");
}

TEST_F(SimpleApiTest, TakesSomeFieldsFromEach) {
  start();
  EXPECT_EQ(ask_json("POST", "/generate?max_tokens=2&temperature=0", R"({"prompt": "say hello"})")["response"], "he");
  EXPECT_EQ(error("/generate?prompt=x", R"({"prompt": "y"})", 400), "prompt: given in the query and in the body");
}

TEST_F(SimpleApiTest, OtherSitesPagesCannotAskByQuery) {
  start();
  EXPECT_EQ(status_of(post_query("/generate?prompt=x", "Origin: http://elsewhere.example\r\n")), 415);
  EXPECT_EQ(status_of(post_query("/v1/chat/completions?messages=x")), 400) << "only where fields may come so";
}

TEST_F(SimpleApiTest, AnEmptyRequestIsToldWhatIsExpected) {
  start();
  EXPECT_EQ(error("/generate", "", 400), "prompt: missing; send a JSON body that has it, or ?prompt=… in the path");
  EXPECT_EQ(error("/generate-batch", "", 400), "the body is not valid JSON: it is empty");
  EXPECT_EQ(error("/v1/chat/completions", "", 400), "the body is not valid JSON: it is empty");
}

TEST_F(SimpleApiTest, AnswersABatchInOrder) {
  start();
  const Json answer = ask_json(
      "POST", "/generate-batch",
      R"([{"prompt": "say a long answer", "id": "b", "temperature": 0}, {"prompt": "say x", "id": 7, "temperature": 0},
          {"prompt": "say no", "max_tokens": 1, "temperature": 0}])");
  ASSERT_EQ(answer["results"].size(), 3u);
  EXPECT_EQ(answer["results"][0]["response"], "a long answer");
  EXPECT_EQ(answer["results"][0]["request_id"], "b");
  EXPECT_EQ(answer["results"][1]["response"], "x");
  EXPECT_EQ(answer["results"][1]["request_id"], 7);
  EXPECT_EQ(answer["results"][2]["response"], "n");
  EXPECT_EQ(answer["results"][2]["request_id"], 2) << "its place";
  EXPECT_GT(answer["latency_ms"].get<double>(), 0);
}

TEST_F(SimpleApiTest, RefusesABatchByItsItem) {
  start();
  EXPECT_EQ(error("/generate-batch?max_tokens=1", R"([{"prompt": "a"}])", 400), "unknown query parameter 'max_tokens'");
  EXPECT_EQ(error("/generate-batch", "{}", 400), "the body: expected a list of objects with a prompt, got {}");
  EXPECT_EQ(error("/generate-batch", "[]", 400), "the body: expected 1 to 1024 prompts, got 0");
  EXPECT_EQ(error("/generate-batch", R"([{"prompt": "a"}, {"prompt": 5}])", 400),
            "[1].prompt: expected a string, got 5");
  EXPECT_THAT(error("/generate-batch", Json::array({{{"prompt", std::string(300, 'x')}}}).dump(), 400),
              HasSubstr("[0]: This model's maximum context length"));
}

TEST_F(SimpleApiTest, ABatchThatDoesNotFitTheQueueIsRefusedWhole) {
  EngineConfig config = testing::FakeModel::default_config();
  config.max_waiting = 8;
  config.max_num_seqs = 1;
  start({}, config);
  Json batch = Json::array();
  for (int i = 0; i < 9; ++i) batch.push_back({{"prompt", "say something long"}});
  ask_json("POST", "/generate-batch", batch.dump());
  model_->is_held = true;
  testing::Client running(port_), waiting(port_);
  running.send(request("POST", "/generate", R"({"prompt": "say x"})"));
  wait_until_running();
  waiting.send(request("POST", "/generate", R"({"prompt": "say y"})"));
  while (model_->engine().stats().num_waiting == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(error("/generate-batch", batch.dump(), 429),
            "the queue has no room for 9 sequences: 2 run or wait, --max-num-seqs is 1 and --max-waiting 8");
  EXPECT_EQ(model_->engine().stats().num_waiting, 1);
  batch.push_back({{"prompt", "say one too many"}});
  const std::string never = ask("POST", "/generate-batch", batch.dump());
  EXPECT_EQ(status_of(never), 400);
  EXPECT_EQ(never.find("Retry-After"), std::string::npos);
  EXPECT_THAT(
      never,
      HasSubstr("10 sequences at once are more than the server can take: --max-num-seqs is 1 and --max-waiting 8"));
  model_->is_held = false;
  EXPECT_TRUE(becomes_idle());
}

}  // namespace
}  // namespace retort
