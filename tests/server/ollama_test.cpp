// Ollama's API, with the fake model behind the real engine.
#include "api_fixture.h"
#include "server/ollama/endpoints.h"

namespace retort {
namespace {

using testing::ApiTest;
using testing::Client;
using ::testing::MatchesRegex;
using testing::status_of;

class OllamaTest : public ApiTest {
 protected:
  static std::string body(std::string_view content, const char* more = "{}") {
    Json json = {{"model", "fake"}, {"messages", Json::array({{{"role", "user"}, {"content", content}}})}};
    json.update(Json::parse(more));
    return json.dump();
  }
  // The JSON of every line, whatever the pieces they came in.
  std::vector<Json> lines(std::string_view path, std::string_view body) {
    Client client(port_);
    client.send(request("POST", path, body));
    const std::string head = client.read_until("\r\n\r\n");
    EXPECT_EQ(status_of(head), 200) << head;
    EXPECT_THAT(head, ::testing::HasSubstr("Content-Type: application/x-ndjson"));
    const std::string text = client.read_until("\r\n0\r\n\r\n");
    std::vector<Json> result;
    for (size_t at = text.find('{'); at != std::string::npos;) {
      const size_t end = text.find('\n', text.find('}', at));
      result.push_back(Json::parse(text.substr(at, end - at)));
      at = text.find("\n{\"model\"", end);
      if (at != std::string::npos) ++at;
    }
    return result;
  }
  std::string ollama_error(std::string_view path, std::string_view body, int status = 400) {
    return ask_json("POST", path, body, status)["error"].get<std::string>();
  }
};

TEST_F(OllamaTest, TakesAnyContentTypeFromPrograms) {
  start();
  const auto show_as = [&](std::string_view more) {
    const std::string_view text = R"({"model": "fake"})";
    Client client(port_);
    client.send(fmt::format("POST /api/show HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: {}\r\n\r\n{}", more,
                            text.size(), text));
    return testing::status_of(client.read_answer());
  };
  EXPECT_EQ(show_as(""), 200);
  EXPECT_EQ(show_as("Content-Type: application/x-www-form-urlencoded\r\n"), 200) << "as curl -d sends it";
  EXPECT_EQ(show_as("Content-Type: text/plain\r\nOrigin: http://evil.example\r\n"), 415) << "a page's form";
}

TEST_F(OllamaTest, AnswersAChatWhole) {
  start();
  const Json answer = ask_json("POST", "/api/chat", body("say <think>\nhm</think>\n\nyes", R"({"stream": false})"));
  EXPECT_EQ(answer["model"], "fake");
  EXPECT_THAT(answer["created_at"].get<std::string>(), MatchesRegex("20..-..-..T..:..:..\\.......Z"));
  EXPECT_EQ(answer["message"], Json::parse(R"({"role": "assistant", "content": "yes", "thinking": "hm"})"));
  EXPECT_EQ(answer["done"], true);
  EXPECT_EQ(answer["done_reason"], "stop");
  EXPECT_GT(answer["prompt_eval_count"].get<int>(), 20);
  EXPECT_GT(answer["eval_count"].get<int>(), 5);
  EXPECT_GE(answer["total_duration"].get<int64_t>(),
            answer["prompt_eval_duration"].get<int64_t>() + answer["eval_duration"].get<int64_t>() - 1);
}

TEST_F(OllamaTest, StreamsUnlessToldNotTo) {
  start();
  const auto parts = lines("/api/chat", body("say hello"));
  ASSERT_GE(parts.size(), 2u);
  std::string content;
  for (const Json& part : parts) {
    content += part["message"]["content"].get<std::string>();
    EXPECT_EQ(part["done"], &part == &parts.back());
  }
  EXPECT_EQ(content, "hello");
  EXPECT_EQ(parts.back()["done_reason"], "stop");
  EXPECT_EQ(parts.back()["eval_count"], 6);
}

TEST_F(OllamaTest, HonoursOptions) {
  start();
  const Json cut =
      ask_json("POST", "/api/chat", body("say hello", R"({"stream": false, "options": {"num_predict": 2}})"));
  EXPECT_EQ(cut["message"]["content"], "he");
  EXPECT_EQ(cut["done_reason"], "length");
  const Json stopped = ask_json("POST", "/api/chat",
                                body("say hello", R"({"stream": false, "options": {"stop": ["l"], "num_ctx": 99}})"));
  EXPECT_EQ(stopped["message"]["content"], "he");
  EXPECT_EQ(ollama_error("/api/chat", body("x", R"({"options": {"temprature": 1}})")),
            "options: unknown field 'temprature' (did you mean 'temperature'?)");
  EXPECT_EQ(ollama_error("/api/chat", body("x", R"({"options": {"mirostat": 2}})")), "options.mirostat: not supported");
  EXPECT_EQ(ollama_error("/api/chat", body("x", R"({"options": {"num_predict": 0}})")),
            "options.num_predict: expected -1, -2 or at least 1, got 0");
}

TEST_F(OllamaTest, LeavesThinkingOutWhenAsked) {
  start();
  const Json answer =
      ask_json("POST", "/api/chat", body("say <think>\nhm</think>\n\nyes", R"({"stream": false, "think": false})"));
  EXPECT_EQ(answer["message"], Json::parse(R"({"role": "assistant", "content": "yes"})"));
}

TEST_F(OllamaTest, KnowsHowMuchToThink) {
  start();
  for (const char* effort : {"low", "medium", "high", "max"}) {
    const Json more = {{"stream", false}, {"think", effort}};
    EXPECT_EQ(ask_json("POST", "/api/chat", body("say yes", more.dump().c_str()))["message"]["content"], "yes");
  }
  EXPECT_THAT(ask("POST", "/api/chat", body("x", R"({"think": "more"})")),
              ::testing::HasSubstr("think: expected true, false, low, medium, high or max"));
}

TEST_F(OllamaTest, GeneratesFromAPrompt) {
  start();
  const Json answer = ask_json("POST", "/api/generate",
                               R"({"model": "fake:latest", "prompt": "say hi", "system": "s", "stream": false})");
  EXPECT_EQ(answer["response"], "hi");
  EXPECT_FALSE(answer.contains("message"));
  const Json raw =
      ask_json("POST", "/api/generate",
               R"({"model": "fake", "prompt": "ab", "raw": true, "stream": false, "options": {"num_predict": 3}})");
  EXPECT_EQ(raw["response"], "cde") << "no template around it";
  EXPECT_EQ(ollama_error("/api/generate", R"({"model": "fake", "prompt": "x", "raw": true, "system": "s"})"),
            "system: not with raw");
}

TEST_F(OllamaTest, GivesLogprobs) {
  start();
  const Json answer =
      ask_json("POST", "/api/chat", body("say hi", R"({"stream": false, "logprobs": true, "top_logprobs": 2})"));
  ASSERT_EQ(answer["logprobs"].size(), 2u);
  EXPECT_EQ(answer["logprobs"][0]["token"], "h");
  EXPECT_EQ(answer["logprobs"][0]["top_logprobs"].size(), 2u);
}

TEST_F(OllamaTest, ARequestForNothingFindsTheModelLoaded) {
  start();
  const Json chat = ask_json("POST", "/api/chat", R"({"model": "fake", "messages": []})");
  EXPECT_EQ(chat["done_reason"], "load");
  EXPECT_EQ(chat["message"]["content"], "");
  EXPECT_EQ(ask_json("POST", "/api/generate", R"({"model": "fake"})")["response"], "");
}

TEST_F(OllamaTest, ErrorsHaveItsShape) {
  start();
  EXPECT_EQ(ollama_error("/api/chat", R"({"messages": []})"), "model: required, and missing");
  EXPECT_EQ(ollama_error("/api/chat", R"({"model": "other", "messages": []})", 404),
            "the model 'other' does not exist; this server has 'fake'");
  EXPECT_EQ(ollama_error("/api/chat",
                         R"({"model": "fake", "messages": [{"role": "user", "content": "x", "images": ["aGk="]}]})"),
            "messages[0].images: only text is supported");
}

TEST_F(OllamaTest, TellsOfTheModel) {
  start();
  const Json tags = ask_json("GET", "/api/tags");
  EXPECT_EQ(tags["models"][0]["name"], "fake");
  EXPECT_EQ(tags["models"][0]["modified_at"], "1970-01-01T00:00:01.000000Z");
  EXPECT_EQ(ask_json("GET", "/api/ps")["models"][0]["context_length"], 256);
  const Json shown = ask_json("POST", "/api/show", R"({"model": "fake"})");
  EXPECT_EQ(shown["capabilities"][0], "completion");
  EXPECT_EQ(shown["template"], testing::kTemplate);
  EXPECT_EQ(ollama_error("/api/show", "{}"), "model: required, and missing");
  EXPECT_TRUE(ask_json("GET", "/api/version")["version"].is_string());
}

}  // namespace
}  // namespace retort
