#include "engine/engine_core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <set>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include "core_under_test.h"

namespace retort::testing {
namespace {

TEST(EngineCore, GreedyAnswersAreTheModels) {
  CoreUnderTest t;
  const auto answer = t.answer({.prompt = prompt_of(10), .params = {.temperature = 0, .max_tokens = 20}});
  EXPECT_EQ(answer.tokens, scripted_answer(hash_script(kVocab), prompt_of(10), 20));
  EXPECT_EQ(answer.finish, FinishReason::kLength);
  EXPECT_EQ(answer.num_events, 20);
  EXPECT_EQ(t.stats().generated_tokens, 20u);
  EXPECT_EQ(t.stats().prompt_tokens, 10u);
  EXPECT_EQ(t.stats().num_finished, 1u);
  EXPECT_EQ(t.stats().kv_usage, 0);
}

TEST(EngineCore, StopTokensEndAnAnswerAndAreNotPartOfIt) {
  const auto full = scripted_answer(hash_script(kVocab), prompt_of(10), 20);
  const TokenId stop = full[4];
  const auto before = std::vector<TokenId>(full.begin(), std::ranges::find(full, stop));
  const SamplingParams params{.temperature = 0, .max_tokens = 20};
  CoreUnderTest t({.stop_tokens = {stop}});

  const auto model_stop = t.answer({.prompt = prompt_of(10), .params = params});
  EXPECT_EQ(model_stop.tokens, before);
  EXPECT_EQ(model_stop.finish, FinishReason::kStop);
  EXPECT_EQ(model_stop.stop_token, stop);

  auto ignoring = params;
  ignoring.ignore_eos = true;
  EXPECT_EQ(t.answer({.prompt = prompt_of(10), .params = ignoring}).tokens, full);
  ignoring.stop_token_ids = {stop};
  EXPECT_EQ(t.answer({.prompt = prompt_of(10), .params = ignoring}).tokens, before) << "the request's own still count";
}

TEST(EngineCore, MinTokensPutsStopTokensOff) {
  const TokenId stop = scripted_answer(hash_script(kVocab), prompt_of(10), 1)[0];
  CoreUnderTest t({.stop_tokens = {stop}});
  EXPECT_TRUE(t.answer({.prompt = prompt_of(10), .params = {.temperature = 0, .max_tokens = 20}}).tokens.empty());
  const auto answer =
      t.answer({.prompt = prompt_of(10), .params = {.temperature = 0, .max_tokens = 20, .min_tokens = 5}});
  EXPECT_GE(answer.tokens.size(), 5u);
  EXPECT_EQ(std::ranges::count(answer.tokens, stop), 0);
}

TEST(EngineCore, TheContextEndsAnAnswer) {
  CoreUnderTest t({.num_blocks = 2});
  const auto answer = t.answer({.prompt = prompt_of(50), .params = {.temperature = 0, .max_tokens = 100}});
  EXPECT_EQ(answer.tokens, scripted_answer(hash_script(kVocab), prompt_of(50), 14));
  EXPECT_EQ(answer.finish, FinishReason::kLength);
}

TEST(EngineCore, NoTokensWantedComputesThePromptOnly) {
  CoreUnderTest t;
  const auto answer = t.answer({.prompt = prompt_of(40), .params = {.max_tokens = 0, .prompt_logprobs = 1}});
  EXPECT_TRUE(answer.tokens.empty());
  EXPECT_EQ(answer.finish, FinishReason::kLength);
  EXPECT_EQ(answer.prompt_logprobs.size(), 40u);
}

TEST(EngineCore, CachedTokensAreCounted) {
  CoreUnderTest t;
  const SamplingParams params{.temperature = 0, .max_tokens = 3};
  EXPECT_EQ(t.answer({.prompt = prompt_of(100), .params = params}).num_cached_tokens, 0);
  EXPECT_EQ(t.answer({.prompt = prompt_of(100), .params = params}).num_cached_tokens, 99);
  EXPECT_EQ(t.answer({.prompt = prompt_of(100), .params = params, .cache_salt = "x"}).num_cached_tokens, 0);
  EXPECT_EQ(t.stats().cached_prompt_tokens, 99u);
}

TEST(EngineCore, PromptLogprobsAreThoseOfEveryPromptTokenWarmOrCold) {
  const auto prompt = prompt_of(150);
  const auto script = hash_script(kVocab);
  CoreUnderTest t({.max_num_batched_tokens = 40}, script);
  t.answer({.prompt = prompt, .params = {.max_tokens = 1}});  // warms the cache, which must not be used
  const auto answer = t.answer({.prompt = prompt, .params = {.temperature = 0, .max_tokens = 2, .prompt_logprobs = 2}});
  ASSERT_EQ(answer.prompt_logprobs.size(), prompt.size());
  EXPECT_TRUE(answer.prompt_logprobs[0].empty());
  for (size_t i = 1; i < prompt.size(); ++i) {
    const auto logits = FakeRunner::logits_after(std::span(prompt).first(i), script, kVocab);
    const auto expected = Sampler(kVocab).prompt_logprobs(logits, prompt[i], 2);
    ASSERT_EQ(answer.prompt_logprobs[i].size(), 3u);
    for (int j = 0; j < 3; ++j) {
      EXPECT_EQ(answer.prompt_logprobs[i][j].id, expected[j].id);
      EXPECT_EQ(answer.prompt_logprobs[i][j].logprob, expected[j].logprob);
      EXPECT_EQ(answer.prompt_logprobs[i][j].rank, expected[j].rank);
    }
  }
}

TEST(EngineCore, SamplesDifferAndAreReproducible) {
  const EngineRequest request{
      .prompt = prompt_of(40), .params = {.temperature = 2, .seed = 7, .max_tokens = 12}, .num_samples = 4};
  CoreUnderTest t;
  const auto first = t.add(request), second = t.add(request);
  t.finish();
  std::set<std::vector<TokenId>> different;
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(first.so_far()[i].tokens.size(), 12u);
    EXPECT_EQ(first.so_far()[i].tokens, second.so_far()[i].tokens);
    different.insert(first.so_far()[i].tokens);
  }
  EXPECT_EQ(different.size(), 4u);
  EXPECT_EQ(t.stats().prompt_tokens, 80u) << "a prompt counts once, whatever the number of its samples";
  auto alone = request;
  alone.num_samples = 1;
  EXPECT_EQ(t.answer(alone).tokens, first.so_far()[0].tokens);
}

TEST(EngineCore, RequestsWithoutSeedDrawDifferently) {
  const EngineRequest request{.prompt = prompt_of(40), .params = {.temperature = 2, .max_tokens = 12}};
  CoreUnderTest t, again;
  const auto first = t.answer(request).tokens, second = t.answer(request).tokens;
  EXPECT_NE(first, second);
  EXPECT_EQ(again.answer(request).tokens, first) << "the engine's own seed decides";
}

TEST(EngineCore, PenaltiesCountEachSamplesOwnTokens) {
  // A model that says the same token again and again, but for the penalty.
  CoreUnderTest t({}, [](std::span<const TokenId>) { return 3; });
  const auto answers = t.add({.prompt = prompt_of(5, 4),
                              .params = {.temperature = 0, .presence_penalty = 50, .max_tokens = 8},
                              .num_samples = 2});
  t.finish();
  for (const auto& answer : answers.so_far()) {
    EXPECT_EQ(answer.tokens[0], 3);
    EXPECT_EQ(std::set<TokenId>(answer.tokens.begin(), answer.tokens.end()).size(), 8u) << "no token twice";
  }
}

TEST(EngineCore, CancelGivesBlocksBackAtOnceAndTellsEverySample) {
  CoreUnderTest t;
  const auto running = t.add({.prompt = prompt_of(30), .params = {.max_tokens = 100}, .num_samples = 3});
  t.step();
  t.step();
  const auto waiting = t.add({.prompt = prompt_of(30, 2), .num_samples = 2});
  EXPECT_LT(t.core.blocks().num_free(), 64);
  t.core.end(1, FinishReason::kAbort);
  EXPECT_EQ(t.core.blocks().num_free(), 64);
  t.core.end(2, FinishReason::kAbort);
  for (const auto& answers : {running, waiting})
    for (const auto& answer : answers.so_far()) EXPECT_EQ(answer.finish, FinishReason::kAbort);
  EXPECT_EQ(running.so_far()[2].tokens.size(), 2u);
  EXPECT_FALSE(t.core.has_work());
  t.core.end(1, FinishReason::kAbort);
  t.core.end(99, FinishReason::kAbort);
  EXPECT_EQ(t.stats().num_finished, 2u);
}

TEST(EngineCore, OneSampleEndsAndTheOthersGoOn) {
  const EngineRequest request{.prompt = prompt_of(30), .params = {.seed = 7, .max_tokens = 9}, .num_samples = 3};
  CoreUnderTest alone;
  const auto whole = alone.add(request);
  alone.finish();
  for (const int ended : {0, 1, 2}) {
    CoreUnderTest t;
    const auto answers = t.add(request);
    for (int i = 0; i < 3; ++i) t.core.end_sample(1, i, FinishReason::kAbort);
    t.step();
    t.step();
    t.core.end_sample(1, ended, FinishReason::kAbort);
    t.core.end_sample(1, ended, FinishReason::kAbort);
    t.core.end_sample(99, 0, FinishReason::kAbort);
    ASSERT_TRUE(t.core.check_integrity());
    t.finish();
    for (int i = 0; i < 3; ++i) {
      const auto answer = answers.so_far()[i];
      if (i == ended) {
        EXPECT_EQ(answer.finish, FinishReason::kAbort);
        EXPECT_EQ(answer.tokens.size(), 2u);
      } else {
        EXPECT_EQ(answer.finish, FinishReason::kLength) << "ended before it had a token";
        EXPECT_EQ(answer.tokens, whole.so_far()[i].tokens);
      }
    }
    EXPECT_EQ(t.core.blocks().num_free(), 64);
    EXPECT_EQ(t.stats().num_finished, 1u);
  }
}

TEST(EngineCore, DeadlinesAreHonouredBeforeTheNextStep) {
  CoreUnderTest t;
  const auto now = Clock::now();
  const auto early =
      t.add({.prompt = prompt_of(30), .params = {.max_tokens = 100}, .deadline = now + std::chrono::seconds(1)});
  const auto late =
      t.add({.prompt = prompt_of(30, 2), .params = {.max_tokens = 100}, .deadline = now + std::chrono::seconds(3)});
  t.step();
  t.core.expire(now);
  EXPECT_FALSE(early.so_far()[0].finish);
  t.core.expire(now + std::chrono::seconds(2));
  EXPECT_EQ(early.so_far()[0].finish, FinishReason::kAbort);
  EXPECT_THAT(early.so_far()[0].error, ::testing::HasSubstr("deadline"));
  EXPECT_FALSE(late.so_far()[0].finish);
  t.finish();
  EXPECT_EQ(late.so_far()[0].finish, FinishReason::kLength);
  t.core.expire(now + std::chrono::seconds(5));  // those of finished requests are forgotten
}

TEST(EngineCore, AFaultOfTheRunnerEndsTheRequestsOfItsStepOnly) {
  CoreUnderTest t({.max_num_seqs = 2});
  const auto first = t.add({.prompt = prompt_of(20, 1), .params = {.temperature = 0, .max_tokens = 9}});
  const auto second = t.add({.prompt = prompt_of(20, 2), .params = {.temperature = 0, .max_tokens = 9}});
  const auto third = t.add({.prompt = prompt_of(20, 3), .params = {.temperature = 0, .max_tokens = 9}});
  t.step();
  t.runner.before_run = [](auto) { throw std::runtime_error("disk on fire"); };
  t.step();
  t.runner.before_run = nullptr;
  EXPECT_EQ(first.so_far()[0].finish, FinishReason::kError);
  EXPECT_EQ(second.so_far()[0].error, "disk on fire");
  t.finish();
  EXPECT_EQ(third.so_far()[0].tokens, scripted_answer(hash_script(kVocab), prompt_of(20, 3), 9));
  // What the failed step was to store must not be found in the cache.
  EXPECT_EQ(t.answer({.prompt = prompt_of(20, 1), .params = {.temperature = 0, .max_tokens = 9}}).tokens,
            scripted_answer(hash_script(kVocab), prompt_of(20, 1), 9));
}

TEST(EngineCore, AnImpossibleChoiceEndsItsRequestOnly) {
  CoreUnderTest t;
  const auto impossible = t.add({.prompt = prompt_of(20, 1),
                                 .params = {.temperature = 0, .allowed_token_ids = {5}, .bad_words = {{5, 5}}},
                                 .num_samples = 3});
  const auto other = t.add({.prompt = prompt_of(20, 2), .params = {.temperature = 0, .max_tokens = 9}});
  t.finish();
  for (const auto& answer : impossible.so_far()) {
    EXPECT_EQ(answer.finish, FinishReason::kError);
    EXPECT_THAT(answer.error, ::testing::HasSubstr("excludes every token"));
    EXPECT_EQ(answer.tokens, std::vector<TokenId>{5});
  }
  EXPECT_EQ(other.so_far()[0].finish, FinishReason::kLength);
}

TEST(EngineCore, ASampleWithoutANextTokenEndsAlone) {
  CoreUnderTest t;
  const auto answers =
      t.add({.prompt = prompt_of(30),
             .params = {.seed = 1, .max_tokens = 6, .allowed_token_ids = {1, 2}, .bad_words = {{1, 1, 1}, {1, 1, 2}}},
             .num_samples = 16});
  t.finish();
  int num_failed = 0;
  for (const auto& answer : answers.so_far()) {
    const auto pair = std::ranges::adjacent_find(answer.tokens, [](TokenId a, TokenId b) { return a == 1 && b == 1; });
    const bool fails = pair != answer.tokens.end() && answer.tokens.size() < 6;
    EXPECT_EQ(answer.finish, fails ? FinishReason::kError : FinishReason::kLength);
    if (!fails) EXPECT_EQ(answer.tokens.size(), 6u);
    num_failed += fails ? 1 : 0;
  }
  EXPECT_GT(num_failed, 0);
  EXPECT_LT(num_failed, 16);
  EXPECT_EQ(t.core.blocks().num_free(), 64);
}

// What an observer needs to know of a request's way, from its events alone.
TEST(EngineCore, EventsTellWhenTheyWereAndWhenTheRequestFirstRan) {
  CoreUnderTest t({.num_blocks = 12, .max_num_seqs = 4});
  std::vector<std::vector<TokenEvent>> events(12);
  for (size_t i = 0; i < events.size(); ++i)
    t.core.add(i + 1, {.prompt = prompt_of(20 + static_cast<int>(i)),
                       .params = {.temperature = 0, .max_tokens = 120},
                       .on_event = [&events, i](TokenEvent event) { events[i].push_back(std::move(event)); }});
  t.finish();
  int num_preemptions = 0;
  for (const auto& of_one : events) {
    ASSERT_FALSE(of_one.empty());
    EXPECT_NE(of_one[0].scheduled, Clock::time_point{});
    EXPECT_LE(of_one[0].scheduled, of_one[0].time);
    for (size_t i = 1; i < of_one.size(); ++i) {
      EXPECT_EQ(of_one[i].scheduled, of_one[0].scheduled) << "also after a preemption";
      EXPECT_LE(of_one[i - 1].time, of_one[i].time);
    }
    num_preemptions += of_one.back().num_preemptions;
  }
  EXPECT_GT(events.back()[0].scheduled, events.front()[0].time) << "it had to wait for a seat";
  EXPECT_GT(num_preemptions, 0);
  EXPECT_EQ(num_preemptions, t.stats().num_preemptions);
}

TEST(EngineCore, ARequestThatNeverRanSaysSo) {
  CoreUnderTest t({.max_num_seqs = 1});
  t.add({.prompt = prompt_of(10), .params = {.max_tokens = 100}});
  t.step();
  TokenEvent last;
  t.core.add(9, {.prompt = prompt_of(5), .on_event = [&](TokenEvent event) { last = std::move(event); }});
  t.core.end(9, FinishReason::kAbort);
  EXPECT_EQ(last.scheduled, Clock::time_point{});
  EXPECT_NE(last.time, Clock::time_point{});
}

TEST(EngineCore, StepsAreCountedByTheirTokensAndSeconds) {
  CoreUnderTest t({.max_num_batched_tokens = 64});
  t.runner.before_run = [&t](auto) { t.time += std::chrono::milliseconds(12); };
  t.answer({.prompt = prompt_of(70), .params = {.temperature = 0, .max_tokens = 3}});
  const EngineStats stats = t.stats();  // steps of 64, 6, 1 and 1 tokens
  EXPECT_EQ(stats.step_tokens.counts[0], 2u) << "up to 1";
  EXPECT_EQ(stats.step_tokens.counts[1], 1u) << "up to 8";
  EXPECT_EQ(stats.step_tokens.counts[4], 1u) << "up to 64";
  EXPECT_EQ(stats.step_tokens.sum, 72);
  EXPECT_EQ(std::accumulate(stats.step_seconds.counts.begin(), stats.step_seconds.counts.end(), 0u), stats.num_steps);
  EXPECT_EQ(stats.step_seconds.counts[0] + stats.step_seconds.counts[3], 0u) << "none within 10 ms";
  EXPECT_NEAR(stats.step_seconds.sum, 4 * 0.012, 1e-9);
}

}  // namespace
}  // namespace retort::testing
