#include "engine/ngram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace retort {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<TokenId> guesses(const std::vector<TokenId>& tokens, const SpeculativeConfig& config) {
  NgramSpeculator speculator;
  const auto drafts = speculator.propose(tokens, config);
  return {drafts.begin(), drafts.end()};
}

std::vector<TokenId> guesses(const std::vector<TokenId>& tokens, int max_drafts = kMaxDrafts) {
  return guesses(tokens, SpeculativeConfig{.num_speculative_tokens = max_drafts});
}

TEST(Ngram, GuessesWhatFollowedTheLastTokensBefore) {
  EXPECT_THAT(guesses({5, 6, 7, 8, 9, 1, 5, 6}), ElementsAre(7, 8, 9, 1, 5, 6));
  EXPECT_THAT(guesses({5, 6, 7, 8, 9, 1, 5, 6}, 2), ElementsAre(7, 8));
  EXPECT_THAT(guesses({5, 6, 7, 8, 9, 1, 5, 6}, 0), IsEmpty());
  EXPECT_THAT(guesses({5, 6, 7, 8, 9, 1, 5, 6}, -1), IsEmpty());
}

TEST(Ngram, NeedsTwoTokensThatStoodTogetherBefore) {
  EXPECT_THAT(guesses({}), IsEmpty());
  EXPECT_THAT(guesses({1}), IsEmpty());
  EXPECT_THAT(guesses({1, 1}), IsEmpty());
  EXPECT_THAT(guesses({1, 2, 3, 4, 2}), IsEmpty());
  EXPECT_THAT(guesses({1, 1, 1}), ElementsAre(1));
}

TEST(Ngram, TheLongestMatchDecidesAndOfEqualOnesTheLatest) {
  EXPECT_THAT(guesses({1, 2, 3, 70, 9, 2, 3, 80, 1, 2, 3}, 1), ElementsAre(70));
  EXPECT_THAT(guesses({2, 3, 70, 2, 3, 80, 2, 3}, 1), ElementsAre(80));
}

TEST(Ngram, LengthsOfMatchesAreBounded) {
  const std::vector<TokenId> tokens = {1, 2, 3, 70, 9, 2, 3, 80, 1, 2, 3};
  EXPECT_THAT(guesses(tokens, {.num_speculative_tokens = 1, .prompt_lookup_max = 2}), ElementsAre(80));
  EXPECT_THAT(guesses(tokens, {.num_speculative_tokens = 1, .prompt_lookup_min = 3}), ElementsAre(70));
  EXPECT_THAT(guesses(tokens, {.num_speculative_tokens = 1, .prompt_lookup_min = 4}), IsEmpty());
  EXPECT_THAT(guesses({7, 8, 7}, {.prompt_lookup_min = 1, .prompt_lookup_max = 1}), ElementsAre(8, 7));
}

TEST(Ngram, LearnsHowGoodGuessesOfOneLengthOfMatchAre) {
  NgramSpeculator speculator;
  const std::vector<TokenId> short_match = {1, 2, 3, 9, 1, 2}, long_match = {1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5};
  speculator.propose(long_match, {});
  const double before = speculator.acceptance();
  speculator.propose(short_match, {});
  for (int i = 0; i < 100; ++i) speculator.judge(false);
  EXPECT_LT(speculator.acceptance(), 0.01);
  speculator.propose(long_match, {});
  EXPECT_EQ(speculator.acceptance(), before);
  for (int i = 0; i < 100; ++i) speculator.judge(true);
  EXPECT_GT(speculator.acceptance(), 0.99);
}

// Against the plain definition, on random texts of few tokens.
TEST(Ngram, AgreesWithAPlainSearch) {
  std::mt19937 random(4);
  for (int round = 0; round < 2000; ++round) {
    std::vector<TokenId> tokens(random() % 40);
    for (auto& token : tokens) token = static_cast<TokenId>(random() % 3);
    const int size = static_cast<int>(tokens.size());
    std::vector<TokenId> expected;
    for (int length = 8; length >= 2 && expected.empty(); --length)
      for (int end = size - 1; end >= length && expected.empty(); --end)
        if (std::equal(tokens.begin() + end - length, tokens.begin() + end, tokens.end() - std::min(length, size)))
          expected.assign(tokens.begin() + end, tokens.begin() + std::min(end + kMaxDrafts, size));
    EXPECT_EQ(guesses(tokens), expected);
  }
}

}  // namespace
}  // namespace retort
