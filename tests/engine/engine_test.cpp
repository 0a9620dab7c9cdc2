#include "engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <ctime>
#include <latch>
#include <random>
#include <thread>

#include "answers.h"
#include "fake_runner.h"

namespace retort::testing {
namespace {

using namespace std::chrono_literals;
constexpr int32_t kVocab = 60;
const std::vector<TokenId> kPrompt = {1, 2, 3, 4, 5};

EngineRequest greedy(int max_tokens, std::vector<TokenId> prompt = kPrompt) {
  return {.prompt = std::move(prompt), .params = {.temperature = 0, .max_tokens = max_tokens}};
}

Answers submit(Engine& engine, EngineRequest request, RequestId* id = nullptr) {
  Answers answers(request.num_samples);
  request.on_event = answers.on_event();
  const auto result = engine.submit(std::move(request));
  EXPECT_TRUE(result) << result.error().message;
  if (id && result) *id = *result;
  return answers;
}

Error refusal(Engine& engine, EngineRequest request) {
  request.on_event = [](const TokenEvent&) { ADD_FAILURE() << "an event for a request that was refused"; };
  const auto result = engine.submit(std::move(request));
  if (!result) return result.error();
  ADD_FAILURE() << "accepted";
  engine.cancel(*result);
  return {};
}

// A model that stands still until it is let go.
class Gate {
 public:
  explicit Gate(FakeRunner& runner) {
    runner.before_run = [this](auto) {
      entered_ = true;
      entered_.notify_all();
      open_.wait(false);
    };
  }
  void wait_until_entered() { entered_.wait(false); }
  void open() {
    open_ = true;
    open_.notify_all();
  }

 private:
  std::atomic<bool> entered_ = false, open_ = false;
};

TEST(Engine, AnswersFromAnotherThread) {
  FakeRunner runner(kVocab, 16);
  Engine engine({}, runner);
  const auto answer = submit(engine, greedy(10)).wait_one();
  EXPECT_EQ(answer.tokens, scripted_answer(hash_script(kVocab), kPrompt, 10));
  EXPECT_EQ(answer.finish, FinishReason::kLength);
}

TEST(Engine, FillsInItsLimits) {
  FakeRunner runner(kVocab, 16);
  EXPECT_EQ(Engine({}, runner).config().max_model_len, 512);
  EXPECT_EQ(Engine({.max_model_len = 100}, runner).config().max_model_len, 100);
  EXPECT_EQ(Engine({.max_model_len = 10000}, runner).config().max_model_len, 512)
      << "no sequence alone may outgrow the memory";
}

TEST(Engine, RefusesAtTheDoorWhatCanNeverBeServed) {
  FakeRunner runner(kVocab, 2);
  Engine engine({.max_num_seqs = 4}, runner);
  EXPECT_EQ(refusal(engine, greedy(1, {})).kind, ErrorKind::kBadInput);
  EXPECT_EQ(refusal(engine, greedy(1, {1, kVocab})).message, "[engine] prompt: expected token ids 0 to 59, got 60");
  EXPECT_EQ(refusal(engine, greedy(1, {-1})).kind, ErrorKind::kBadInput);
  EXPECT_EQ(refusal(engine, greedy(1, std::vector<TokenId>(70, 1))).message,
            "[engine] prompt: expected at most 63 tokens (the context holds 64), got 70, 7 too many");
  EXPECT_EQ(refusal(engine, {.prompt = kPrompt, .num_samples = 5}).message,
            "[engine] num_samples: expected 1 to 4, got 5");
  EXPECT_EQ(refusal(engine, {.prompt = kPrompt, .params = {.top_p = 2}}).kind, ErrorKind::kBadInput);
  EXPECT_EQ(submit(engine, greedy(5, std::vector<TokenId>(63, 1))).wait_one().tokens.size(), 1u);
  EXPECT_EQ(submit(engine, greedy(0, std::vector<TokenId>(64, 1))).wait_one().finish, FinishReason::kLength);
}

TEST(Engine, AFullQueueSaysNoAtOnce) {
  FakeRunner runner(kVocab, 16);
  Gate gate(runner);
  Engine engine({.max_num_seqs = 1, .max_waiting = 2}, runner);
  const auto running = submit(engine, greedy(5));
  gate.wait_until_entered();
  const auto second = submit(engine, greedy(5)), third = submit(engine, greedy(5));
  EXPECT_EQ(engine.stats().num_waiting, 2);
  EXPECT_EQ(engine.stats().num_running, 1);
  EXPECT_EQ(refusal(engine, greedy(5)).kind, ErrorKind::kUnavailable);
  gate.open();
  for (const auto& answers : {running, second, third}) EXPECT_EQ(answers.wait_one().tokens.size(), 5u);
  EXPECT_EQ(submit(engine, greedy(5)).wait_one().tokens.size(), 5u);
}

TEST(Engine, ABurstIsTakenThatFindsFreePlaces) {
  FakeRunner runner(kVocab, 16);
  Gate gate(runner);
  Engine engine({.max_num_seqs = 3, .max_waiting = 0}, runner);
  const auto running = submit(engine, greedy(5));
  gate.wait_until_entered();
  const auto second = submit(engine, greedy(5)), third = submit(engine, greedy(5));
  EXPECT_EQ(refusal(engine, greedy(5)).kind, ErrorKind::kUnavailable);
  gate.open();
  for (const auto& answers : {running, second, third}) EXPECT_EQ(answers.wait_one().tokens.size(), 5u);
}

TEST(Engine, WhoAsksAgainWhenAnsweredFindsThePlaceFree) {
  FakeRunner runner(kVocab, 16);
  Engine engine({.max_num_seqs = 2, .max_waiting = 0}, runner);
  for (int i = 0; i < 500; ++i) {
    EngineRequest request = greedy(2);
    request.num_samples = 2;
    submit(engine, std::move(request)).wait();
  }
  EXPECT_EQ(engine.stats().num_unfinished, 0);
}

TEST(Engine, EverySampleNeedsAPlace) {
  FakeRunner runner(kVocab, 16);
  Gate gate(runner);
  Engine engine({.max_num_seqs = 3, .max_waiting = 0}, runner);
  const auto running = submit(engine, greedy(5));
  gate.wait_until_entered();
  EngineRequest three = greedy(5);
  three.num_samples = 3;
  EXPECT_EQ(refusal(engine, std::move(three)).kind, ErrorKind::kUnavailable);
  gate.open();
  EXPECT_EQ(running.wait_one().tokens.size(), 5u);
}

TEST(Engine, ACancelledRequestLeavesTheQueueAtOnce) {
  FakeRunner runner(kVocab, 16);
  Gate gate(runner);
  Engine engine({.max_num_seqs = 1, .max_waiting = 2}, runner);
  RequestId first = 0, second = 0, third = 0;
  const auto running = submit(engine, greedy(5), &first);
  gate.wait_until_entered();
  const auto gone = submit(engine, greedy(5), &second), waiting = submit(engine, greedy(5), &third);
  for (int i = 0; i < 2; ++i) engine.cancel(second);
  EXPECT_EQ(engine.stats().num_waiting, 1) << "while the step still runs";
  const auto next = submit(engine, greedy(5));
  EXPECT_EQ(refusal(engine, greedy(5)).kind, ErrorKind::kUnavailable);
  engine.cancel(first);
  EXPECT_EQ(engine.stats().num_waiting, 2) << "one that runs has left it before";
  gate.open();
  EXPECT_EQ(gone.wait_one().finish, FinishReason::kAbort);
  for (const auto& answers : {waiting, next}) EXPECT_EQ(answers.wait_one().tokens.size(), 5u);
  engine.stop(1s);
  EXPECT_EQ(engine.stats().num_waiting, 0);
}

// Sequences that go before a prompt under way run, though the step may have room for one of them only.
TEST(Engine, CancelledOnesThatRanAreNotTakenFromThoseThatWait) {
  FakeRunner runner(kVocab, 64);
  std::atomic<int> num_begun = 0, num_let_go = 0;
  const auto wait_until = [](std::atomic<int>& count, int least) {
    for (int now = count; now < least; now = count) count.wait(now);
  };
  const auto set = [](std::atomic<int>& count, int value) {
    count = value;
    count.notify_all();
  };
  runner.before_run = [&](auto) {
    const int step = num_begun + 1;
    set(num_begun, step);
    wait_until(num_let_go, step);
  };
  Engine engine({.max_num_seqs = 4, .max_num_batched_tokens = 8}, runner);
  std::vector<Answers> answers = {submit(engine, greedy(5, std::vector<TokenId>(100, 7)))};
  wait_until(num_begun, 1);
  std::vector<RequestId> ids(5);
  for (RequestId& id : ids) {
    EngineRequest sooner = greedy(5, std::vector<TokenId>(20, 7));
    sooner.priority = -1;
    answers.push_back(submit(engine, std::move(sooner), &id));
  }
  set(num_let_go, 1);
  wait_until(num_begun, 2);
  EXPECT_EQ(engine.stats().num_running, 4);
  EXPECT_EQ(engine.stats().num_waiting, 2);
  for (const size_t i : {1, 2}) engine.cancel(ids[i]);
  EXPECT_EQ(engine.stats().num_waiting, 2) << "neither of them waited";
  engine.cancel(ids[3]);
  EXPECT_EQ(engine.stats().num_waiting, 1);
  set(num_let_go, 1000);
  for (const Answers& one : answers) one.wait_one();
  engine.stop(1s);
  EXPECT_EQ(engine.stats().num_waiting, 0);
}

TEST(Engine, CancelEndsARequestBeforeTheNextStep) {
  FakeRunner runner(kVocab, 16);
  std::atomic<int> num_runs = 0;
  runner.before_run = [&](auto) {
    ++num_runs;
    std::this_thread::sleep_for(1ms);
  };
  Engine engine({}, runner);
  RequestId id = 0;
  const auto answers = submit(engine, greedy(400), &id);
  answers.wait_for_tokens(3);
  const int before = num_runs;
  engine.cancel(id);
  const auto answer = answers.wait_one();
  EXPECT_EQ(answer.finish, FinishReason::kAbort);
  EXPECT_LE(num_runs, before + 2) << "the step that ran, and one that may have begun";
  EXPECT_EQ(answer.tokens, scripted_answer(hash_script(kVocab), kPrompt, static_cast<int>(answer.tokens.size())));
  engine.cancel(id);
  engine.cancel(12345);
  engine.stop(1s);
  EXPECT_EQ(engine.stats().kv_usage, 0);
}

TEST(Engine, CancelEndsOneSampleOfARequest) {
  FakeRunner runner(kVocab, 16);
  runner.before_run = [](auto) { std::this_thread::sleep_for(1ms); };
  Engine engine({}, runner);
  EngineRequest request = greedy(200);
  request.num_samples = 2;
  RequestId id = 0;
  const auto answers = submit(engine, std::move(request), &id);
  answers.wait_for_tokens(3);
  engine.cancel(id, 1);
  const auto all = answers.wait();
  EXPECT_EQ(all[0].finish, FinishReason::kLength);
  EXPECT_EQ(all[0].tokens.size(), 200u);
  EXPECT_EQ(all[1].finish, FinishReason::kAbort);
  EXPECT_LT(all[1].tokens.size(), 200u);
  EXPECT_EQ(engine.stats().num_unfinished, 0);
}

TEST(Engine, DeadlinePassesWhileRunning) {
  FakeRunner runner(kVocab, 1000);
  runner.before_run = [](auto) { std::this_thread::sleep_for(1ms); };
  Engine engine({}, runner);
  auto request = greedy(30000);
  request.deadline = Clock::now() + 30ms;
  const auto answer = submit(engine, std::move(request)).wait_one();
  EXPECT_EQ(answer.finish, FinishReason::kAbort);
  EXPECT_THAT(answer.error, ::testing::HasSubstr("deadline"));
}

TEST(Engine, StopLetsRunningAnswersFinishWithinTheGrace) {
  FakeRunner runner(kVocab, 16);
  Gate gate(runner);
  Engine engine({}, runner);
  const auto answers = submit(engine, greedy(20));
  gate.wait_until_entered();
  std::thread stopper([&] { engine.stop(60s); });
  while (true) {  // until the engine is stopping
    const auto result =
        engine.submit({.prompt = kPrompt, .params = {.max_tokens = 1}, .on_event = [](const TokenEvent&) {}});
    if (!result) {
      EXPECT_EQ(result.error().kind, ErrorKind::kUnavailable);
      break;
    }
  }
  gate.open();
  stopper.join();
  EXPECT_EQ(answers.wait_one().finish, FinishReason::kLength);
  EXPECT_TRUE(engine.stats().alive) << "an end by stop() is no failure";
}

TEST(Engine, StopAbortsWhatOutlastsTheGrace) {
  FakeRunner runner(kVocab, 1000);
  runner.before_run = [](auto) { std::this_thread::sleep_for(1ms); };
  Engine engine({.max_num_seqs = 1}, runner);
  const auto running = submit(engine, greedy(30000)), waiting = submit(engine, greedy(30000));
  running.wait_for_tokens(1);
  engine.stop(20ms);
  EXPECT_EQ(running.wait_one().finish, FinishReason::kAbort);
  EXPECT_EQ(waiting.wait_one().finish, FinishReason::kAbort);
  EXPECT_THAT(waiting.wait_one().error, ::testing::HasSubstr("stopping"));
  EXPECT_EQ(refusal(engine, greedy(1)).kind, ErrorKind::kUnavailable);
  engine.stop(1s);
}

TEST(Engine, DestructionTellsWhoIsLeft) {
  FakeRunner runner(kVocab, 1000);
  Answers answers;
  {
    Engine engine({}, runner);
    answers = submit(engine, greedy(30000));
  }
  EXPECT_EQ(answers.wait_one().finish, FinishReason::kAbort);
}

TEST(Engine, GoesOnAfterAFaultOfTheRunner) {
  FakeRunner runner(kVocab, 16);
  std::atomic<bool> broken = true;
  runner.before_run = [&](auto) {
    if (broken) throw 42;
  };
  Engine engine({}, runner);
  const auto failed = submit(engine, greedy(5)).wait_one();
  EXPECT_EQ(failed.finish, FinishReason::kError);
  EXPECT_FALSE(failed.error.empty());
  broken = false;
  EXPECT_EQ(submit(engine, greedy(5)).wait_one().tokens, scripted_answer(hash_script(kVocab), kPrompt, 5));
  EXPECT_TRUE(engine.stats().alive);
}

TEST(Engine, SaysWhenAStepBegan) {
  FakeRunner runner(kVocab, 16);
  Gate gate(runner);
  Engine engine({}, runner);
  EXPECT_EQ(engine.stats().step_started, Clock::time_point{});
  const auto before = Clock::now();
  const auto answers = submit(engine, greedy(1));
  gate.wait_until_entered();
  EXPECT_GE(engine.stats().step_started, before);
  gate.open();
  answers.wait();
  engine.stop(1s);
  EXPECT_EQ(engine.stats().step_started, Clock::time_point{});
}

TEST(Engine, UsesNoTimeWhenIdle) {
  FakeRunner runner(kVocab, 16);
  Engine engine({}, runner);
  submit(engine, greedy(5)).wait();
  std::this_thread::sleep_for(20ms);
  const std::clock_t before = std::clock();  // of all threads of the process
  std::this_thread::sleep_for(200ms);
  EXPECT_LT(static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC, 0.02);
}

TEST(Engine, CallbacksMayCallTheEngine) {
  FakeRunner runner(kVocab, 16);
  Engine engine({}, runner);
  Answers second;
  std::latch done(1);
  RequestId first = 0;
  auto request = greedy(400);
  request.on_event = [&](const TokenEvent& event) {
    if (event.finish) return done.count_down();
    if (event.tokens[0].id < 0 || first == 0) return;  // `first` is known only after submit() has returned
    second = submit(engine, greedy(3));
    engine.cancel(std::exchange(first, 0));
  };
  std::mutex mutex;
  {
    // Keeps the callback from reading `first` while it is written.
    auto inner = request.on_event;
    request.on_event = [&mutex, inner](const TokenEvent& event) {
      const std::lock_guard lock(mutex);
      inner(event);
    };
    const std::lock_guard lock(mutex);
    first = engine.submit(std::move(request)).value();
  }
  done.wait();
  EXPECT_EQ(second.wait_one().tokens.size(), 3u);
}

// Many threads submit, cancel and read stats at once; every answer that was not cancelled is whole and right.
TEST(Engine, ManyClientsAtOnce) {
  FakeRunner runner(kVocab, 24);
  Engine engine({.max_num_seqs = 8, .max_num_batched_tokens = 32}, runner);
  std::vector<std::thread> clients;
  for (uint32_t client = 0; client < 6; ++client) {
    clients.emplace_back([&, client] {
      std::mt19937 random(client);
      for (int i = 0; i < 25; ++i) {
        std::vector<TokenId> prompt(1 + random() % 80);
        for (auto& token : prompt) token = static_cast<TokenId>(random() % 3);
        const int max_tokens = 1 + static_cast<int>(random() % 40);
        RequestId id = 0;
        const auto answers = submit(engine, greedy(max_tokens, prompt), &id);
        const bool cancelled = random() % 4 == 0;
        if (cancelled) {
          answers.wait_for_tokens(1);
          engine.cancel(id);
        }
        (void)engine.stats();
        const auto answer = answers.wait_one();
        const auto expected = scripted_answer(hash_script(kVocab), prompt, static_cast<int>(answer.tokens.size()));
        ASSERT_EQ(answer.tokens, expected);
        if (!cancelled) {
          ASSERT_EQ(std::ssize(answer.tokens), max_tokens);
        }
      }
    });
  }
  for (auto& client : clients) client.join();
  engine.stop(1s);
  const auto stats = engine.stats();
  EXPECT_EQ(stats.num_finished, 150u);
  EXPECT_EQ(stats.num_running + stats.num_waiting, 0);
  EXPECT_EQ(stats.kv_usage, 0);
}

}  // namespace
}  // namespace retort::testing
