// Constraints in the engine: answers that a rule forces, bounds and ends, whatever the rule's delays, other requests,
// preemptions and samples.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <random>
#include <thread>

#include "../base/log_capture.h"
#include "answers.h"
#include "engine/engine_core.h"
#include "engine/philox.h"
#include "fake_runner.h"

namespace retort::testing {
namespace {

using namespace std::chrono_literals;

constexpr int32_t kVocab = 60;
constexpr TokenId kStop = 7;

// What may follow depends on everything said so far: a third of the tokens may, now and then some are forced, now and
// then the answer ends, or may not yet where the model would end it.
NextTokens rule(uint64_t seed, std::vector<TokenId>& said) {
  NextTokens next;
  const auto draw = [&] { return hash_context(said) ^ random_bits(seed, said.size(), 0); };
  while (draw() % 5 == 0 && next.forced.size() < 40) {
    next.forced.push_back(static_cast<TokenId>(8 + draw() % (kVocab - 8)));
    said.push_back(next.forced.back());
  }
  next.is_complete = draw() % 61 == 0;
  if (draw() % 2 == 0) next.instead_of_end = {8, 9};
  next.allowed.assign(2, 0);
  for (TokenId id = 0; id < kVocab; ++id)
    if ((draw() + 7919u * static_cast<uint64_t>(id)) % 3 == 0) next.allowed[id / 32] |= 1u << id % 32;
  next.allowed[1] |= 1u << (kVocab - 1 - 32);  // never nothing
  return next;
}

class RuleConstraint : public TokenConstraint {
 public:
  RuleConstraint(uint64_t seed, std::chrono::microseconds longest_delay) : seed_(seed), longest_delay_(longest_delay) {}

  Result<std::unique_ptr<TokenConstraint>> clone() const override { return std::make_unique<RuleConstraint>(*this); }
  Result<NextTokens> follow(std::span<const TokenId> tokens) override {
    said_.insert(said_.end(), tokens.begin(), tokens.end());
    if (longest_delay_ > 0us)
      std::this_thread::sleep_for(longest_delay_ * static_cast<int>(hash_context(said_) % 100) / 100);
    return rule(seed_, said_);
  }

 private:
  uint64_t seed_;
  std::chrono::microseconds longest_delay_;
  std::vector<TokenId> said_;
};

// The likeliest allowed token each time, as plainly as it can be said.
std::vector<TokenId> expected_answer(uint64_t seed, std::vector<TokenId> context, int max_tokens) {
  std::vector<TokenId> answer, said;
  const auto say = [&](TokenId id) {
    answer.push_back(id);
    context.push_back(id);
    return std::ssize(answer) == max_tokens;
  };
  while (true) {
    const NextTokens next = rule(seed, said);
    for (TokenId id : next.forced)
      if (say(id)) return answer;
    if (next.is_complete) return answer;
    auto logits = FakeRunner::logits_after(context, hash_script(kVocab), kVocab);
    for (TokenId id = 0; id < kVocab; ++id)
      if ((next.allowed[id / 32] >> id % 32 & 1) == 0) logits[id] = -INFINITY;
    const auto best = static_cast<TokenId>(std::ranges::max_element(logits) - logits.begin());
    const std::vector<TokenId> ends = next.instead_of_end;
    if (best == kStop && ends.empty()) return answer;
    for (TokenId id : best == kStop ? ends : std::vector{best}) {
      if (say(id)) return answer;
      said.push_back(id);
    }
  }
}

std::vector<TokenId> random_prompt(std::mt19937& random) {
  std::vector<TokenId> prompt(1 + random() % 100);
  for (TokenId& id : prompt) id = static_cast<TokenId>(random() % 4);
  return prompt;
}

EngineConfig config() {
  return {.max_model_len = 400,
          .max_num_seqs = 12,
          .max_num_batched_tokens = 48,
          .max_step_ms = 0,
          .speculative = {.num_speculative_tokens = 4},
          .seed = 5,
          .stop_tokens = {kStop}};
}

struct Asked {
  Answers answers;
  std::vector<TokenId> expected;
};

// Rounds of arrivals, cancels and steps, in too little memory.
TEST(Constraint, AnswersAreTheRulesWhateverTheDelays) {
  std::mt19937 random(1);
  FakeRunner runner(kVocab, 12);
  EngineCore core(config(), runner, [] {});
  std::vector<Asked> asked;
  RequestId last_id = 0;
  for (int turn = 0; turn < 6000 || core.has_work(); ++turn) {
    if (turn < 6000 && random() % 10 == 0) {
      const auto prompt = random_prompt(random);
      const int num_samples = 1 + random() % 3, max_tokens = 1 + random() % 150;
      const uint64_t seed = random();
      const bool is_bound = random() % 4 != 0;
      Answers answers(num_samples);
      EngineRequest request{.prompt = prompt,
                            .params = {.temperature = 0, .max_tokens = max_tokens},
                            .num_samples = num_samples,
                            .on_event = answers.on_event()};
      if (is_bound) request.constraint = std::make_shared<RuleConstraint>(seed, random() % 2 == 0 ? 0us : 1000us);
      core.add(++last_id, std::move(request));
      if (random() % 8 == 0) {
        core.end(last_id, FinishReason::kAbort);
      } else if (is_bound) {
        asked.push_back({answers, expected_answer(seed, prompt, max_tokens)});
      }
    }
    if (!core.has_work()) continue;
    if (core.plan_step())
      core.run_step();
    else
      std::this_thread::sleep_for(20us);
    const auto status = core.check_integrity();
    ASSERT_TRUE(status) << status.error().message;
  }
  EngineStats stats;
  core.report(stats);
  EXPECT_GT(stats.num_preemptions, 20u);
  EXPECT_EQ(stats.kv_usage, 0);
  ASSERT_GT(asked.size(), 100u);
  int num_complete = 0;
  for (const Asked& one : asked)
    for (const Answer& answer : one.answers.so_far()) {
      EXPECT_EQ(answer.tokens, one.expected);
      EXPECT_THAT(answer.finish, ::testing::AnyOf(FinishReason::kStop, FinishReason::kLength));
      num_complete += answer.finish == FinishReason::kStop && !answer.stop_token ? 1 : 0;
    }
  EXPECT_GT(num_complete, 10) << "answers that their rule ended";
}

// Lets the first token pass, then waits for a word from outside.
class StuckConstraint : public TokenConstraint {
 public:
  explicit StuckConstraint(std::shared_future<void> word) : word_(std::move(word)) {}
  Result<std::unique_ptr<TokenConstraint>> clone() const override { return std::make_unique<StuckConstraint>(*this); }
  Result<NextTokens> follow(std::span<const TokenId> tokens) override {
    if (!tokens.empty()) word_.wait();
    return NextTokens{};
  }

 private:
  std::shared_future<void> word_;
};

TEST(Constraint, ASlowOneWaitsAlone) {
  std::promise<void> word;
  FakeRunner runner(kVocab, 64);
  EngineConfig engine_config = config();
  engine_config.stop_tokens = {};
  Engine engine(engine_config, runner);
  const auto ask = [&](std::shared_ptr<const TokenConstraint> constraint, int max_tokens) {
    Answers answers;
    EXPECT_TRUE(engine.submit({.prompt = {1, 2, 3},
                               .params = {.temperature = 0, .max_tokens = max_tokens},
                               .constraint = std::move(constraint),
                               .on_event = answers.on_event()}));
    return answers;
  };
  const Answers stuck = ask(std::make_shared<StuckConstraint>(word.get_future().share()), 5);
  stuck.wait_for_tokens(1);
  EXPECT_EQ(ask(nullptr, 50).wait_one().tokens, scripted_answer(hash_script(kVocab), {1, 2, 3}, 50));
  EXPECT_EQ(ask(std::make_shared<RuleConstraint>(3, 0us), 30).wait_one().finish, FinishReason::kLength);
  const uint64_t num_steps = engine.stats().num_steps;
  std::this_thread::sleep_for(50ms);
  EXPECT_LE(engine.stats().num_steps, num_steps + 1) << "nothing runs while nothing may";
  EXPECT_EQ(stuck.so_far()[0].tokens.size(), 1u);
  word.set_value();
  EXPECT_EQ(stuck.wait_one().tokens, scripted_answer(hash_script(kVocab), {1, 2, 3}, 5));
}

TEST(Constraint, AbandonedOnesEndWithTheEngine) {
  std::promise<void> word;
  FakeRunner runner(kVocab, 64);
  Answers answers;
  {
    Engine engine(config(), runner);
    EXPECT_TRUE(engine.submit({.prompt = {1, 2, 3},
                               .params = {.temperature = 0, .max_tokens = 5},
                               .constraint = std::make_shared<StuckConstraint>(word.get_future().share()),
                               .on_event = answers.on_event()}));
    answers.wait_for_tokens(1);
    engine.stop(0ms);
    EXPECT_EQ(answers.wait_one().finish, FinishReason::kAbort);
    word.set_value();
  }
}

class FailingConstraint : public TokenConstraint {
 public:
  Result<std::unique_ptr<TokenConstraint>> clone() const override { return std::make_unique<FailingConstraint>(*this); }
  Result<NextTokens> follow(std::span<const TokenId> tokens) override {
    if (!tokens.empty()) return fail(ErrorKind::kTooLarge, "[grammar] too complex");
    return NextTokens{};
  }
};

TEST(Constraint, AnErrorEndsItsRequestAlone) {
  const LogCapture log;
  FakeRunner runner(kVocab, 64);
  EngineConfig engine_config = config();
  engine_config.stop_tokens = {};
  Engine engine(engine_config, runner);
  Answers failing(2), other;
  EXPECT_TRUE(engine.submit({.prompt = {1, 2, 3},
                             .params = {.temperature = 0, .max_tokens = 5},
                             .num_samples = 2,
                             .constraint = std::make_shared<FailingConstraint>(),
                             .on_event = failing.on_event()}));
  EXPECT_TRUE(
      engine.submit({.prompt = {1, 2}, .params = {.temperature = 0, .max_tokens = 50}, .on_event = other.on_event()}));
  for (const Answer& answer : failing.wait()) {
    EXPECT_EQ(answer.finish, FinishReason::kError);
    EXPECT_EQ(answer.error, "[grammar] too complex");
    EXPECT_EQ(answer.error_kind, ErrorKind::kTooLarge);
  }
  EXPECT_EQ(other.wait_one().tokens, scripted_answer(hash_script(kVocab), {1, 2}, 50));
  EXPECT_EQ(log.text(), "info: [engine] request 1 ends: its constraint is too complex to follow\n");
}

}  // namespace
}  // namespace retort::testing
