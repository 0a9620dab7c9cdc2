// Whom the scheduler serves first: by priority, age and what a prompt has yet to compute.
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "scheduler_turns.h"

namespace retort::testing {
namespace {

std::vector<uint64_t> order_of_service(Scheduler& scheduler) {
  std::vector<uint64_t> order;
  while (scheduler.has_work()) {
    Sequence& s = *scheduler.plan().sequences.at(0).sequence;
    order.push_back(s.request_id);
    scheduler.remove(s);
  }
  return order;
}

TEST(Scheduler, ServesByPriorityThenInOrderOfArrival) {
  Scheduler scheduler({.max_num_seqs = 1}, 64, true);
  scheduler.add({.request_id = 1, .prompt = prompt_of(4, 1), .priority = 5});
  scheduler.add({.request_id = 2, .prompt = prompt_of(4, 2), .priority = 0});
  scheduler.add({.request_id = 3, .prompt = prompt_of(4, 3), .priority = 5});
  scheduler.add({.request_id = 4, .prompt = prompt_of(4, 4), .priority = -1});
  EXPECT_EQ(order_of_service(scheduler), (std::vector<uint64_t>{4, 2, 1, 3}));
}

TEST(Scheduler, OneThatWaitsAgesPastBetterPrioritiesThatComeMuchLater) {
  Scheduler scheduler({.max_num_seqs = 1, .priority_ageing_ms = 1000}, 64, true);
  scheduler.add({.request_id = 1, .prompt = prompt_of(4, 1), .priority = 2, .arrived_ms = 0});
  scheduler.add({.request_id = 2, .prompt = prompt_of(4, 2), .priority = 0, .arrived_ms = 1999});
  scheduler.add({.request_id = 3, .prompt = prompt_of(4, 3), .priority = 0, .arrived_ms = 2001});
  EXPECT_EQ(order_of_service(scheduler), (std::vector<uint64_t>{2, 1, 3}));
}

TEST(Scheduler, LargePrioritiesAgeToo) {
  Scheduler scheduler({.max_num_seqs = 1, .priority_ageing_ms = 1000}, 64, true);
  constexpr int kMost = std::numeric_limits<int>::max();
  scheduler.add({.request_id = 1, .prompt = prompt_of(4, 1), .priority = kMost, .arrived_ms = 0});
  scheduler.add({.request_id = 2, .prompt = prompt_of(4, 2), .priority = 2000, .arrived_ms = 0});
  scheduler.add({.request_id = 3, .prompt = prompt_of(4, 3), .priority = 1000, .arrived_ms = 900});
  scheduler.add({.request_id = 4, .prompt = prompt_of(4, 4), .priority = 7, .arrived_ms = 900});
  scheduler.add({.request_id = 5, .prompt = prompt_of(4, 5), .priority = 6, .arrived_ms = 900});
  scheduler.add({.request_id = 6, .prompt = prompt_of(4, 6), .priority = 0, .arrived_ms = 37'001});
  scheduler.add({.request_id = 7, .prompt = prompt_of(4, 7), .priority = -kMost - 1, .arrived_ms = 75'000});
  EXPECT_EQ(order_of_service(scheduler), (std::vector<uint64_t>{5, 4, 3, 2, 1, 6, 7}));
}

// With room for one at a time and 1 ms a token.
TEST(Scheduler, ShortPromptsGoBeforeLongOnesThatCameLittleEarlier) {
  Scheduler scheduler({.max_num_seqs = 1}, 64, true);
  scheduler.learn({.num_tokens = 100, .num_attended = 0}, 0.1);
  scheduler.add({.request_id = 1, .prompt = prompt_of(1000, 1), .arrived_ms = 0});
  scheduler.add({.request_id = 2, .prompt = prompt_of(10, 2), .arrived_ms = 900});
  scheduler.add({.request_id = 3, .prompt = prompt_of(10, 3), .arrived_ms = 1100});
  scheduler.add({.request_id = 4, .prompt = prompt_of(200, 4), .priority = -1, .arrived_ms = 1100});
  EXPECT_EQ(order_of_service(scheduler), (std::vector<uint64_t>{4, 2, 1, 3}));
}

TEST(Scheduler, ALongPromptUnderWayIsOvertakenByShortOnesThatAreDueBefore) {
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 100, .max_step_seconds = 0.1}, 64, true);
  scheduler.learn({.num_tokens = 100, .num_attended = 0}, 0.1);
  scheduler.add({.request_id = 1, .prompt = prompt_of(1000, 1), .arrived_ms = 0});
  EXPECT_EQ(turn(scheduler).front().request, 1);
  scheduler.add({.request_id = 2, .prompt = prompt_of(40, 2), .arrived_ms = 200});
  scheduler.add({.request_id = 3, .prompt = prompt_of(40, 3), .arrived_ms = 2000});
  const auto second = turn(scheduler);
  EXPECT_EQ(second.front(), (Chunk{2, 0, 40}));
  EXPECT_EQ(second.back().request, 1) << "what is left of the step";
  uint64_t last_new = 0;
  for (int i = 0; i < 15; ++i)
    for (const Chunk& chunk : turn(scheduler))
      if (chunk.first == 0) last_new = chunk.request;
  EXPECT_EQ(last_new, 3) << "and the one that came much later waits for it";
}

// Also where nothing was known when the long one came: 1 ms a token after the first step.
TEST(Scheduler, TheFirstStepOfAllRanksThoseThatCameBeforeIt) {
  Scheduler scheduler({.max_num_seqs = 3, .max_num_batched_tokens = 100, .max_step_seconds = 0.1}, 80, true);
  scheduler.add({.request_id = 1, .prompt = prompt_of(1000, 1), .num_samples = 2, .arrived_ms = 0});
  scheduler.add({.request_id = 2, .prompt = prompt_of(200, 2), .arrived_ms = 0});
  scheduler.add({.request_id = 3, .prompt = prompt_of(30, 3), .arrived_ms = 10});
  EXPECT_EQ(timed_turn(scheduler), (std::vector<Chunk>{{1, 0, 64}}));
  EXPECT_EQ(integrity(scheduler), "");
  scheduler.add({.request_id = 4, .prompt = prompt_of(20, 4), .arrived_ms = 300});
  EXPECT_EQ(order_of_service(scheduler), (std::vector<uint64_t>{3, 2, 4, 1}));
}

// A step of one token says nothing of what many cost: 60 ms a step and 2 ms a token.
TEST(Scheduler, WhatTheFirstStepMisledToIsPutRight) {
  Scheduler scheduler({.max_num_seqs = 2}, 80, true);
  const auto learn = [&](int64_t num_tokens) {
    scheduler.learn({.num_tokens = num_tokens, .num_attended = 0}, 0.060 + 0.002 * static_cast<double>(num_tokens));
  };
  scheduler.add({.request_id = 1, .prompt = prompt_of(900, 1), .arrived_ms = 0});
  scheduler.add({.request_id = 2, .prompt = prompt_of(10, 2), .arrived_ms = 10'000});
  learn(1);
  learn(64);
  EXPECT_EQ(order_of_service(scheduler), (std::vector<uint64_t>{1, 2}));
}

TEST(Scheduler, NoPromptWaitsLongerThanAMinuteForThoseAfterIt) {
  Scheduler scheduler({.max_num_seqs = 1}, 80, true);
  scheduler.learn({.num_tokens = 10, .num_attended = 0}, 10);
  scheduler.add({.request_id = 1, .prompt = prompt_of(1000, 1), .arrived_ms = 0});
  scheduler.add({.request_id = 2, .prompt = prompt_of(1, 2), .arrived_ms = 58'000});
  scheduler.add({.request_id = 3, .prompt = prompt_of(1, 3), .arrived_ms = 60'000});
  EXPECT_EQ(order_of_service(scheduler), (std::vector<uint64_t>{2, 1, 3}));
}

TEST(Scheduler, WhatIsCachedOfAPromptDoesNotDelayIt) {
  Scheduler scheduler({.max_num_seqs = 1}, 64, true);
  scheduler.learn({.num_tokens = 100, .num_attended = 0}, 0.1);
  scheduler.add({.request_id = 1, .prompt = prompt_of(500, 1)});
  while (turn(scheduler).front().first < 500) continue;
  scheduler.add({.request_id = 2, .prompt = prompt_of(300, 2), .arrived_ms = 0});
  const Sequence& known = scheduler.add({.request_id = 3, .prompt = prompt_of(500, 1), .arrived_ms = 0});
  EXPECT_EQ(known.num_cached_tokens, 0) << "counted once it has begun";
  EXPECT_EQ(integrity(scheduler), "");
  EXPECT_EQ(order_of_service(scheduler), (std::vector<uint64_t>{1, 3, 2}));
}

}  // namespace
}  // namespace retort::testing
