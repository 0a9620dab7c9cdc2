// Prompts whose embedding is wanted, among others, over the fake model.
#include <gtest/gtest.h>

#include "answers.h"
#include "engine/engine.h"
#include "fake_runner.h"

namespace retort::testing {
namespace {

constexpr int32_t kVocab = 60;

std::vector<TokenId> prompt_of(int length, int seed) {
  std::vector<TokenId> prompt;
  for (int i = 0; i < length; ++i) prompt.push_back((i * 7 + seed * 13 + i * i) % kVocab);
  return prompt;
}

EngineRequest embed(std::vector<TokenId> prompt, Pooling pooling) {
  return {.prompt = std::move(prompt), .params = {.max_tokens = 0}, .pooling = pooling};
}

Answers submit(Engine& engine, EngineRequest request) {
  Answers answers(request.num_samples);
  request.on_event = answers.on_event();
  const auto result = engine.submit(std::move(request));
  EXPECT_TRUE(result) << result.error().message;
  return answers;
}

std::vector<float> mean_of(const std::vector<TokenId>& prompt) {
  std::vector<float> sum(FakeRunner::kHiddenSize);
  for (size_t length = 1; length <= prompt.size(); ++length) {
    const auto row = FakeRunner::hidden_after(std::span(prompt).first(length));
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += row[i];
  }
  for (float& value : sum) value /= static_cast<float>(prompt.size());
  return sum;
}

EngineConfig chunked() {
  EngineConfig config;
  config.max_num_seqs = 4;
  config.max_num_batched_tokens = 48;  // long prompts take several steps
  return config;
}

TEST(Embedding, OfTheLastToken) {
  FakeRunner runner(kVocab, 64);
  Engine engine(chunked(), runner);
  const auto prompt = prompt_of(150, 1);
  const Answer answer = submit(engine, embed(prompt, Pooling::kLast)).wait_one();
  EXPECT_EQ(answer.embedding, FakeRunner::hidden_after(prompt));
  EXPECT_EQ(answer.finish, FinishReason::kStop);
  EXPECT_TRUE(answer.tokens.empty());
  EXPECT_EQ(answer.num_events, 1);
  const Answer again = submit(engine, embed(prompt, Pooling::kLast)).wait_one();
  EXPECT_GT(again.num_cached_tokens, 0);
  EXPECT_EQ(again.embedding, answer.embedding);
}

TEST(Embedding, OfTheMean) {
  FakeRunner runner(kVocab, 64);
  Engine engine(chunked(), runner);
  const auto prompt = prompt_of(150, 2);
  EXPECT_EQ(submit(engine, embed(prompt, Pooling::kMean)).wait_one().embedding, mean_of(prompt));
  EXPECT_EQ(submit(engine, embed(prompt, Pooling::kMean)).wait_one().embedding, mean_of(prompt))
      << "every row is computed, cached or not";
  EXPECT_EQ(submit(engine, embed({7}, Pooling::kMean)).wait_one().embedding, mean_of({7}));
}

// Few blocks: some are preempted and computed again.
TEST(Embedding, AmongAnswersThatAreGenerated) {
  FakeRunner runner(kVocab, 12);
  Engine engine(chunked(), runner);
  std::vector<std::pair<std::vector<TokenId>, Answers>> embeddings, texts;
  for (int i = 0; i < 24; ++i) {
    const auto prompt = prompt_of(20 + 11 * i % 170, i);
    if (i % 3 == 0)
      texts.emplace_back(prompt, submit(engine, {.prompt = prompt, .params = {.temperature = 0, .max_tokens = 40}}));
    else
      embeddings.emplace_back(prompt, submit(engine, embed(prompt, i % 3 == 1 ? Pooling::kMean : Pooling::kLast)));
  }
  for (size_t i = 0; i < embeddings.size(); ++i) {
    const auto& [prompt, answers] = embeddings[i];
    EXPECT_EQ(answers.wait_one().embedding, i % 2 == 0 ? mean_of(prompt) : FakeRunner::hidden_after(prompt));
  }
  for (const auto& [prompt, answers] : texts)
    EXPECT_EQ(answers.wait_one().tokens, scripted_answer(hash_script(kVocab), prompt, 40));
}

TEST(Embedding, TakesNoTokensAndNoSamples) {
  FakeRunner runner(kVocab, 64);
  Engine engine(chunked(), runner);
  EngineRequest request = embed({1, 2}, Pooling::kLast);
  request.params.max_tokens = 1;
  request.on_event = [](const TokenEvent&) {};
  const auto refused = engine.submit(std::move(request));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "[engine] pooling: expected max_tokens 0 and one sample, got 1 and 1");
}

}  // namespace
}  // namespace retort::testing
