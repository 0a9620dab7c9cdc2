#include "engine/simulator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

namespace retort {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;

// A step takes 10 ms and 1 ms a token.
constexpr StepPrice kPrice{.base = 0.010, .per_token = 0.001, .per_attended = 0};

TEST(Simulator, OneRequestTakesWhatItsStepsCost) {
  const auto report = simulate({.price = kPrice}, {{.arrival = 5, .input_length = 40, .output_length = 3}});
  ASSERT_TRUE(report);
  EXPECT_THAT(report->first_token, ElementsAre(FloatNear(0.050, 1e-6)));
  EXPECT_THAT(report->between_tokens, ElementsAre(FloatNear(0.011, 1e-6), FloatNear(0.011, 1e-6)));
  EXPECT_THAT(report->whole, ElementsAre(FloatNear(0.072, 1e-6)));
  EXPECT_EQ(report->num_steps, 3u);
  EXPECT_NEAR(report->seconds, 0.072, 1e-9);
}

TEST(Simulator, TheClockWaitsForArrivals) {
  const auto report = simulate({.price = kPrice}, {{.arrival = 0, .input_length = 10, .output_length = 1},
                                                   {.arrival = 100, .input_length = 10, .output_length = 1}});
  EXPECT_THAT(report->whole, ElementsAre(FloatNear(0.020, 1e-5), FloatNear(0.020, 1e-5)));
  EXPECT_NEAR(report->seconds, 100.020, 1e-6);
}

TEST(Simulator, PromptsOfEqualHashIdsShareTheCache) {
  SimulatedRequest first{.arrival = 0, .input_length = 1100, .output_length = 2, .hash_ids = {7, 8}}, second = first;
  second.arrival = 50;
  second.hash_ids = {7, 9};
  const auto report = simulate({.price = kPrice}, {first, second});
  EXPECT_EQ(report->cached_prompt_tokens, 512u);
  EXPECT_EQ(report->prompt_tokens, 2200u);
  EXPECT_EQ(simulate({.enable_prefix_caching = false, .price = kPrice}, {first, second})->cached_prompt_tokens, 0u);
}

TEST(Simulator, WhatNeverFitsIsRefusedAndTheRestAnswered) {
  std::vector<SimulatedRequest> trace(20, {.input_length = 60, .output_length = 30});
  trace[3].input_length = 10'000;
  const auto report = simulate({.num_blocks = 8, .price = kPrice}, trace);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->num_refused, 1u);
  EXPECT_EQ(report->whole.size(), 19u);
  EXPECT_EQ(report->generated_tokens, 19u * 30);
  EXPECT_GT(report->max_waiting, 5);
}

TEST(Simulator, AStepLimitKeepsTheGapsBetweenTokensSmall) {
  std::vector<SimulatedRequest> trace(8, {.input_length = 10, .output_length = 400});
  trace.push_back({.arrival = 1, .input_length = 3000, .output_length = 10});
  const auto worst_gap = [&](double max_step_seconds) {
    const auto report = simulate({.scheduler = {.max_step_seconds = max_step_seconds}, .price = kPrice}, trace);
    return *std::ranges::max_element(report->between_tokens);
  };
  EXPECT_GT(worst_gap(0), 0.5F);
  EXPECT_LE(worst_gap(0.1), 0.1F);
}

TEST(Simulator, AnEmptyTraceIsNothing) { EXPECT_EQ(simulate({}, {})->num_steps, 0u); }

}  // namespace
}  // namespace retort
