// An EngineCore over the fake model, whose steps and clock a test turns by hand.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

#include "answers.h"
#include "engine/engine_core.h"
#include "fake_runner.h"
#include "prompts.h"

namespace retort::testing {

inline constexpr int32_t kVocab = 60;
constexpr Prompts prompt_of{kVocab};

struct CoreConfig {
  int32_t num_blocks = 64;
  int max_num_seqs = 16;
  int max_num_batched_tokens = 64;
  bool enable_prefix_caching = true;
  std::vector<TokenId> stop_tokens = {};
  int num_speculative_tokens = 0;
};

class CoreUnderTest {
 public:
  explicit CoreUnderTest(const CoreConfig& config = {}, TokenScript script = hash_script(kVocab))
      : runner(kVocab, config.num_blocks, std::move(script)),
        core(
            {.max_model_len = int64_t{config.num_blocks} * kBlockTokens,
             .max_num_seqs = config.max_num_seqs,
             .max_num_batched_tokens = config.max_num_batched_tokens,
             .enable_prefix_caching = config.enable_prefix_caching,
             .speculative = {.num_speculative_tokens = config.num_speculative_tokens},
             .seed = 5,
             .stop_tokens = config.stop_tokens},
            runner, [] {}, [this] { return time; }) {}

  Answers add(EngineRequest request) {
    Answers answers(request.num_samples);
    request.on_event = answers.on_event();
    core.add(++last_id, std::move(request));
    return answers;
  }
  void step() {
    time += std::chrono::microseconds(1);
    core.plan_step();
    core.run_step();
    const auto status = core.check_integrity();
    ASSERT_TRUE(status) << status.error().message;
  }
  void finish() {
    while (core.has_work() && !::testing::Test::HasFatalFailure()) step();
  }
  Answer answer(EngineRequest request) {
    const auto answers = add(std::move(request));
    finish();
    return answers.so_far()[0];
  }
  EngineStats stats() const {
    EngineStats stats;
    core.report(stats);
    return stats;
  }

  Clock::time_point time{std::chrono::seconds(1)};  // goes on by what a test adds, and a little from step to step
  FakeRunner runner;
  EngineCore core;
  RequestId last_id = 0;
};

}  // namespace retort::testing
