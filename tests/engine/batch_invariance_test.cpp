// What runs beside a request, and how its steps are cut, changes no answer.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>
#include <ostream>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "core_under_test.h"

namespace retort::testing {
namespace {

// A text that goes round in a circle of ten tokens, but for a surprise now and then.
TokenScript nearly_periodic() {
  return [](std::span<const TokenId> context) {
    return static_cast<TokenId>(context.size() % 23 == 0 ? 30 + context.size() % 7 : context.size() % 10);
  };
}

// A step takes the same time however many tokens it has, so guesses pay.
std::vector<Answer> answers_to_many(int num_speculative_tokens, EngineStats& stats) {
  CoreUnderTest t({.num_speculative_tokens = num_speculative_tokens}, nearly_periodic());
  t.runner.before_run = [&t](auto) { t.time += std::chrono::milliseconds(1); };
  std::vector<Answers> all;
  const SamplingParams kinds[] = {
      {.temperature = 0, .max_tokens = 150},
      {.temperature = 0, .frequency_penalty = 0.1F, .max_tokens = 97, .logprobs = 2},
      {.temperature = 1, .seed = 3, .max_tokens = 120},
      {.temperature = 0, .max_tokens = 150, .stop_token_ids = {33}},
  };
  for (const auto& params : kinds) all.push_back(t.add({.prompt = prompt_of(10), .params = params, .num_samples = 2}));
  t.finish();
  stats = t.stats();
  std::vector<Answer> out;
  for (auto& answers : all)
    for (auto& answer : answers.so_far()) out.push_back(std::move(answer));
  return out;
}

TEST(EngineCore, SpeculationChangesNothingButTheNumberOfSteps) {
  EngineStats plain_stats, stats;
  const auto plain = answers_to_many(0, plain_stats), guessed = answers_to_many(kMaxDrafts, stats);
  EXPECT_EQ(plain_stats.draft_tokens, 0u);
  EXPECT_GT(stats.accepted_draft_tokens(), 100u);
  EXPECT_GT(stats.draft_tokens, stats.accepted_draft_tokens());
  EXPECT_LT(stats.accepted_draft_tokens(), kMaxDrafts * stats.drafts) << "some were wrong";
  EXPECT_GT(stats.accepted_draft_tokens(), stats.drafts) << "more than one a time";
  EXPECT_TRUE(std::ranges::is_sorted(stats.accepted_at, std::greater<>())) << "none is right after a wrong one";
  EXPECT_GT(stats.accepted_at[1], 0u);
  EXPECT_LT(stats.num_steps, plain_stats.num_steps);
  EXPECT_EQ(stats.generated_tokens, plain_stats.generated_tokens);
  for (size_t i = 0; i < plain.size(); ++i) {
    EXPECT_EQ(guessed[i].tokens, plain[i].tokens) << i;
    EXPECT_EQ(guessed[i].finish, plain[i].finish) << i;
    EXPECT_EQ(guessed[i].stop_token, plain[i].stop_token) << i;
    EXPECT_EQ(guessed[i].num_events, plain[i].num_events) << i;
    for (size_t j = 0; j < plain[i].sampled.size(); ++j)
      EXPECT_EQ(guessed[i].sampled[j].logprob.has_value(), plain[i].sampled[j].logprob.has_value());
  }
}

// While others run, fork and are preempted: their answers are the same, and the books agree after every step.
TEST(EngineCore, TheCacheCanBeResetAtAnyTime) {
  const auto run = [](bool resets) {
    CoreUnderTest t({.num_blocks = 12, .max_num_seqs = 4, .max_num_batched_tokens = 24});
    std::mt19937 random(4);
    std::vector<Answers> answers;
    for (int i = 0; i < 12; ++i)
      answers.push_back(t.add({.prompt = prompt_of(40 + i), .params = {.max_tokens = 90}, .num_samples = 1 + i % 3}));
    while (t.core.has_work() && !::testing::Test::HasFatalFailure()) {
      if (resets && random() % 5 == 0) t.core.reset_prefix_cache();
      t.step();
    }
    std::vector<std::vector<TokenId>> tokens;
    for (const auto& answer : answers)
      for (const auto& sample : answer.so_far()) tokens.push_back(sample.tokens);
    return tokens;
  };
  EXPECT_EQ(run(true), run(false));
}

struct House {
  const char* name;
  CoreConfig config;
  bool preempts = false;
};
std::ostream& operator<<(std::ostream& out, const House& house) { return out << house.name; }
class SameAnswer : public ::testing::TestWithParam<House> {};

EngineRequest random_request(std::mt19937& random) {
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<uint32_t>(n)); };
  EngineRequest request{.prompt = prompt_of(1 + below(120), below(3)), .num_samples = below(5) == 0 ? 1 + below(4) : 1};
  request.prompt.push_back(below(kVocab));
  request.priority = below(2);
  request.params = {.temperature = below(2) == 0 ? 0.0f : 1.5f,
                    .top_p = below(2) == 0 ? 0.9f : 1.0f,
                    .presence_penalty = below(2) * 0.5f};
  request.params.seed = random();
  request.params.max_tokens = 1 + below(150);
  request.params.logprobs = below(2) == 0 ? std::optional(2) : std::nullopt;
  return request;
}

// The answer of a request is the same alone on a cold engine and among others, greedy or drawn, with any chunk size,
// with a warm cache, after preemptions.
TEST_P(SameAnswer, AloneAndAmongOthers) {
  std::mt19937 random(3);
  CoreUnderTest busy(GetParam().config);
  std::vector<EngineRequest> requests;
  std::vector<Answers> answers;
  while (requests.size() < 150) {
    if (random() % 3 == 0) {
      requests.push_back(random_request(random));
      answers.push_back(busy.add(requests.back()));
    }
    if (busy.core.has_work()) busy.step();
  }
  busy.finish();
  if (GetParam().preempts) {
    EXPECT_GT(busy.stats().num_preemptions, 20u);
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    CoreUnderTest alone({.num_blocks = 40, .max_num_batched_tokens = 1000});
    const auto expected = alone.add(requests[i]);
    alone.finish();
    for (int sample = 0; sample < requests[i].num_samples; ++sample) {
      const auto e = expected.so_far()[sample], a = answers[i].so_far()[sample];
      ASSERT_EQ(a.tokens, e.tokens) << "request " << i << " sample " << sample;
      ASSERT_EQ(a.finish, e.finish);
      for (size_t j = 0; j < e.sampled.size(); ++j) {
        ASSERT_EQ(a.sampled[j].logprob.has_value(), e.sampled[j].logprob.has_value());
        if (e.sampled[j].logprob) {
          ASSERT_EQ(a.sampled[j].logprob->logprob, e.sampled[j].logprob->logprob);
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Houses, SameAnswer,
    ::testing::Values(House{"Roomy", {.num_blocks = 300}}, House{"Tight", {.num_blocks = 12, .max_num_seqs = 8}, true},
                      House{"TinyChunks", {.num_blocks = 16, .max_num_seqs = 8, .max_num_batched_tokens = 8}, true},
                      House{"NoCache", {.num_blocks = 12, .max_num_seqs = 8, .enable_prefix_caching = false}, true}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace retort::testing
