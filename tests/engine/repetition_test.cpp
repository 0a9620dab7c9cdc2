#include "engine/repetition.h"

#include <gtest/gtest.h>

#include <random>

#include "answers.h"
#include "engine/engine.h"
#include "fake_runner.h"

namespace retort {
namespace {

using testing::Answers;
using testing::FakeRunner;

// The number of tokens after which the detector says so; 0: never.
size_t found_at(const RepetitionRule& rule, std::span<const TokenId> tokens) {
  RepetitionDetector detector(rule);
  for (size_t size = 1; size <= tokens.size(); ++size)
    if (detector.push(tokens.first(size))) return size;
  return 0;
}

// The same, straight from the definition.
bool ends_in_repetition(const RepetitionRule& rule, std::span<const TokenId> tokens) {
  for (int64_t size = std::max(rule.min_pattern_size, 1); size <= rule.max_pattern_size; ++size) {
    const int64_t length = std::max(size * rule.min_count, int64_t{rule.min_tokens});
    if (length > std::ssize(tokens)) continue;
    const auto tail = tokens.last(length);
    bool is_equal = true;
    for (int64_t i = size; i < length; ++i) is_equal = is_equal && tail[i] == tail[i - size];
    if (is_equal) return true;
  }
  return false;
}

std::vector<TokenId> repeated(std::vector<TokenId> pattern, int times, std::vector<TokenId> before = {}) {
  for (int i = 0; i < times; ++i) before.insert(before.end(), pattern.begin(), pattern.end());
  return before;
}

TEST(Repetition, IsFoundWhenThePatternIsThereOftenEnough) {
  const RepetitionRule rule{.min_pattern_size = 2, .max_pattern_size = 3, .min_count = 3};
  EXPECT_EQ(found_at(rule, repeated({1, 2, 3}, 5, {9, 9})), 2u + 9u);
  EXPECT_EQ(found_at(rule, repeated({1, 2, 3}, 2)), 0u);
  EXPECT_EQ(found_at(rule, repeated({1, 2, 3, 4}, 9)), 0u) << "longer than max_pattern_size";
  EXPECT_EQ(found_at(rule, repeated({1}, 9)), 6u) << "one token repeated is a pattern of two as well";
  EXPECT_EQ(found_at({.max_pattern_size = 0}, repeated({1}, 9)), 0u) << "turned off";
}

TEST(Repetition, AgreesWithItsDefinition) {
  std::mt19937 random(1);
  const auto draw = [&](int low, int high) { return std::uniform_int_distribution(low, high)(random); };
  int num_found = 0;
  for (int round = 0; round < 3000; ++round) {
    const int min_size = draw(0, 4);
    const RepetitionRule rule{.min_pattern_size = min_size,
                              .max_pattern_size = draw(min_size, 9),
                              .min_count = draw(2, 4),
                              .min_tokens = draw(0, 1) * draw(0, 24)};
    std::vector<TokenId> tokens;
    while (tokens.size() < 60) {  // patterns of few different tokens, repeated, with noise between
      std::vector<TokenId> pattern;
      for (int i = draw(1, 9); i > 0; --i) pattern.push_back(draw(0, 2));
      tokens = repeated(pattern, draw(1, 5), tokens);
    }
    size_t expected = 0;
    for (size_t size = 1; size <= tokens.size() && expected == 0; ++size)
      if (ends_in_repetition(rule, std::span(tokens).first(size))) expected = size;
    num_found += expected != 0;
    ASSERT_EQ(found_at(rule, tokens), expected) << "round " << round;
  }
  EXPECT_GT(num_found, 1000);
}

TEST(Repetition, GuardLeavesAloneWhatPeopleAskFor) {
  const RepetitionRule guard = repetition_guard(EngineConfig().repetition_guard);
  EXPECT_EQ(found_at(guard, repeated({5, 6, 7, 8, 9, 10, 11, 12, 13, 14}, 200)), 0u) << "a line 200 times";
  EXPECT_EQ(found_at(guard, repeated({3, 4}, 1000)), 0u) << "an array of 1000 zeros";
  std::vector<TokenId> table;
  for (TokenId row = 0; row < 3000; ++row) table = repeated({1, 2, 100 + row, 2, 7}, 1, std::move(table));
  EXPECT_EQ(found_at(guard, table), 0u) << "rows that differ in one cell";
  std::vector<TokenId> paragraph(250);
  for (TokenId i = 0; i < 250; ++i) paragraph[i] = i;
  EXPECT_EQ(found_at(guard, repeated(paragraph, 10)), 2048u) << "a paragraph again and again";
  EXPECT_EQ(found_at(guard, repeated({1}, 5000)), 2048u);
  EXPECT_EQ(found_at(repetition_guard(0), repeated({1}, 5000)), 0u);
}

class RepetitionEngineTest : public ::testing::Test {
 protected:
  // Says 1 2 3 1 2 3 … for ever.
  static TokenId round_and_round(std::span<const TokenId> context) {
    return context.back() >= 1 && context.back() < 3 ? context.back() + 1 : 1;
  }
  static std::vector<testing::Answer> ask(EngineConfig config, SamplingParams params, int num_samples = 1) {
    FakeRunner runner(16, 32, round_and_round);
    Engine engine(std::move(config), runner);
    Answers answers(num_samples);
    params.temperature = 0;
    EXPECT_TRUE(engine.submit(
        {.prompt = {9}, .params = std::move(params), .num_samples = num_samples, .on_event = answers.on_event()}));
    return answers.wait();
  }
};

TEST_F(RepetitionEngineTest, EndsTheAnswerAtTheTokenThatCompletesIt) {
  const RepetitionRule rule{.max_pattern_size = 8, .min_count = 4};
  for (const auto& answer : ask({}, {.max_tokens = 100, .repetition = rule}, 3)) {
    EXPECT_EQ(answer.finish, FinishReason::kRepetition);
    EXPECT_EQ(answer.tokens.size(), 12u);
  }
  EXPECT_EQ(ask({}, {.max_tokens = 100, .min_tokens = 50, .repetition = rule})[0].tokens.size(), 50u);
  EXPECT_EQ(ask({}, {.max_tokens = 12, .repetition = rule})[0].finish, FinishReason::kRepetition);
}

TEST_F(RepetitionEngineTest, GuardsAnswersUnlessToldOtherwise) {
  const EngineConfig guarded{.repetition_guard = 64};
  EXPECT_EQ(ask(guarded, {.max_tokens = 200})[0].tokens.size(), 64u);
  EXPECT_EQ(ask(guarded, {.max_tokens = 200, .repetition = RepetitionRule{}})[0].finish, FinishReason::kLength);
  EXPECT_EQ(ask(guarded, {.max_tokens = 200, .ignore_eos = true})[0].finish, FinishReason::kLength);
  EXPECT_EQ(ask({.repetition_guard = 0}, {.max_tokens = 200})[0].finish, FinishReason::kLength);
}

}  // namespace
}  // namespace retort
