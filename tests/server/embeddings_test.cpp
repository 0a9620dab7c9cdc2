// Embeddings in OpenAI's and in Ollama's shape, with the fake model behind the real engine.
#include <cmath>
#include <thread>

#include "api_fixture.h"

namespace retort {
namespace {

using testing::ApiTest;
using testing::FakeRunner;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;

class EmbeddingsTest : public ApiTest {
 protected:
  static std::vector<float> unit(const std::vector<float>& vector) {
    double squares = 0;
    for (const float value : vector) squares += double{value} * value;
    std::vector<float> result;
    for (const float value : vector) result.push_back(static_cast<float>(value / std::sqrt(squares)));
    return result;
  }
  static std::vector<float> expected_of(std::string_view text) {
    const std::vector<TokenId> tokens(text.begin(), text.end());
    return unit(FakeRunner::hidden_after(tokens));
  }
  static auto is(const std::vector<float>& expected) { return Pointwise(FloatNear(1e-6f), expected); }
  Json embed(const char* body) { return ask_json("POST", "/v1/embeddings", body); }
};

TEST_F(EmbeddingsTest, OneForEachInput) {
  start();
  const Json answer = embed(R"({"input": ["abc", "hello"], "model": "fake"})");
  EXPECT_EQ(answer["object"], "list");
  EXPECT_EQ(answer["model"], "fake");
  ASSERT_EQ(answer["data"].size(), 2u);
  EXPECT_EQ(answer["data"][1]["index"], 1);
  EXPECT_EQ(answer["data"][1]["object"], "embedding");
  EXPECT_THAT(answer["data"][0]["embedding"].get<std::vector<float>>(), is(expected_of("abc")));
  EXPECT_THAT(answer["data"][1]["embedding"].get<std::vector<float>>(), is(expected_of("hello")));
  EXPECT_EQ(answer["usage"], Json::parse(R"({"prompt_tokens": 8, "total_tokens": 8})"));
}

TEST_F(EmbeddingsTest, TakesTokensAndGivesBase64) {
  start();
  const Json by_text = embed(R"({"input": "ab", "encoding_format": "base64", "dimensions": 4})");
  EXPECT_EQ(embed(R"({"input": [97, 98], "encoding_format": "base64"})"), by_text);
  EXPECT_EQ(embed(R"({"input": [[97, 98]], "encoding_format": "base64"})"), by_text);
  EXPECT_EQ(by_text["data"][0]["embedding"].get<std::string>().size(), 24u) << "16 bytes";
}

TEST_F(EmbeddingsTest, TheMeanOfAll) {
  start();
  std::vector<float> sum(FakeRunner::kHiddenSize);
  const std::vector<TokenId> tokens = {'a', 'b', 'c'};
  for (size_t n = 1; n <= 3; ++n)
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += FakeRunner::hidden_after(std::span(tokens).first(n))[i];
  const Json answer = embed(R"({"input": "abc", "pooling": "mean"})");
  EXPECT_THAT(answer["data"][0]["embedding"].get<std::vector<float>>(), is(unit(sum)));
}

TEST_F(EmbeddingsTest, RefusesByName) {
  start();
  EXPECT_EQ(error("/v1/embeddings", "{}", 400), "input: required, and missing");
  EXPECT_EQ(error("/v1/embeddings", R"({"input": 5})", 400),
            "input: expected a string, a list of strings, a list of token ids or a list of such lists, got 5");
  EXPECT_EQ(error("/v1/embeddings", R"({"input": ["a", ""]})", 400), "input[1]: the prompt is empty");
  EXPECT_EQ(error("/v1/embeddings", R"({"input": "a", "encoding_format": "int8"})", 400),
            "encoding_format: expected \"float\" or \"base64\", got \"int8\"");
  EXPECT_EQ(error("/v1/embeddings", R"({"input": "a", "dimensions": 2})", 400),
            "dimensions: expected 4, the hidden size (the model was not trained for shorter embeddings), got 2");
  EXPECT_EQ(error("/v1/embeddings", R"({"input": [[1, 999]]})", 400),
            "input[0]: prompt: expected token ids below 260, got 999");
  EXPECT_THAT(error("/v1/embeddings", Json({{"input", std::string(300, 'x')}}).dump(), 400),
              HasSubstr("input: This model's maximum context length is 256"));
  for (const auto& [body, param] : {std::pair(R"({"input": ["a", ""]})", "input[1]"),
                                    {R"({"input": ["a", 5]})", "input[1]"},
                                    {R"({"input": [[1], [1, 999]]})", "input[1]"},
                                    {R"({"input": [[1], [1, "a"]]})", "input[1][1]"},
                                    {R"({"input": [1, 999]})", "input"},
                                    {R"({"input": ""})", "input"}})
    EXPECT_EQ(ask_json("POST", "/v1/embeddings", body, 400)["error"]["param"], param) << body;
  const Json no_object = ask_json("POST", "/v1/embeddings", "[]", 400)["error"];
  EXPECT_EQ(no_object["message"], "the body: expected an object, got []");
  EXPECT_TRUE(no_object["param"].is_null());
}

TEST_F(EmbeddingsTest, InputsAreSharedBetweenEqualSaltsOnly) {
  start();
  const auto num_found = [&](const char* salt) {
    const EngineStats before = model_->engine().stats();
    const Json body = {{"input", std::string(100, 'x')}, {"cache_salt", salt}, {"request_id", "mine"}};
    embed(body.dump().c_str());
    EngineStats after;  // told at the end of the step, a moment after the answer
    while ((after = model_->engine().stats()).prompt_tokens == before.prompt_tokens) std::this_thread::yield();
    return after.cached_prompt_tokens - before.cached_prompt_tokens;
  };
  EXPECT_EQ(num_found("a"), 0u);
  EXPECT_EQ(num_found("a"), 99u) << "all but the last token";
  EXPECT_EQ(num_found("b"), 0u);
}

TEST_F(EmbeddingsTest, KeepsTheEndOfALongInputWhenAsked) {
  start();
  const Json answer = embed(R"({"input": "abc", "truncate_prompt_tokens": 2})");
  EXPECT_THAT(answer["data"][0]["embedding"].get<std::vector<float>>(), is(expected_of("bc")));
  EXPECT_EQ(answer["usage"]["prompt_tokens"], 2);
}

TEST_F(EmbeddingsTest, InOllamasShape) {
  start();
  const Json answer = ask_json("POST", "/api/embed", R"({"model": "fake", "input": ["abc", "hello"]})");
  ASSERT_EQ(answer["embeddings"].size(), 2u);
  EXPECT_THAT(answer["embeddings"][1].get<std::vector<float>>(), is(expected_of("hello")));
  EXPECT_EQ(answer["prompt_eval_count"], 8);
  const Json old = ask_json("POST", "/api/embeddings", R"({"model": "fake:latest", "prompt": "abc"})");
  EXPECT_THAT(old["embedding"].get<std::vector<float>>(), is(expected_of("abc")));
  const std::string text(300, 'x');
  const Json cut = ask_json("POST", "/api/embed", Json({{"model", "fake"}, {"input", text}}).dump());
  EXPECT_THAT(cut["embeddings"][0].get<std::vector<float>>(), is(expected_of(text.substr(0, 255))));
  EXPECT_THAT(ask_json("POST", "/api/embed", Json({{"model", "fake"}, {"input", text}, {"truncate", false}}).dump(),
                       400)["error"]
                  .get<std::string>(),
              HasSubstr("maximum context length"));
}

}  // namespace
}  // namespace retort
