#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <ostream>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "../base/sanitized.h"
#include "scheduler_driver.h"
#include "scheduler_turns.h"

namespace retort::testing {
namespace {

constexpr int kLoadFactor = kSanitized ? 1 : 5;  // more than a million steps in all

TEST(Scheduler, PromptsAreCutToTheBudgetAndDecodesGoFirst) {
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 40}, 64, true);
  scheduler.add({.request_id = 1, .prompt = prompt_of(10)});
  EXPECT_EQ(turn(scheduler), (std::vector<Chunk>{{1, 0, 10}}));
  scheduler.add({.request_id = 2, .prompt = prompt_of(100, 2)});
  EXPECT_EQ(turn(scheduler), (std::vector<Chunk>{{1, 10, 1}, {2, 0, 39}}));
  scheduler.add({.request_id = 3, .prompt = prompt_of(20, 3)});
  EXPECT_EQ(turn(scheduler), (std::vector<Chunk>{{1, 11, 1}, {2, 39, 39}}));
  EXPECT_EQ(turn(scheduler), (std::vector<Chunk>{{1, 12, 1}, {2, 78, 22}, {3, 0, 17}}));
  EXPECT_EQ(turn(scheduler), (std::vector<Chunk>{{1, 13, 1}, {2, 100, 1}, {3, 17, 3}}));
}

TEST(Scheduler, ChunksAreCutToTheTimeAStepMayTake) {
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 512, .max_step_seconds = 0.1}, 64, false);
  scheduler.add({.request_id = 1, .prompt = prompt_of(1000)});
  EXPECT_EQ(timed_turn(scheduler), (std::vector<Chunk>{{1, 0, 64}})) << "a modest first try";
  EXPECT_EQ(timed_turn(scheduler), (std::vector<Chunk>{{1, 64, 96}})) << "100 ms, in whole panels of 8 rows";
  scheduler.add({.request_id = 2, .prompt = prompt_of(30), .arrived_ms = 2000});
  EXPECT_EQ(timed_turn(scheduler), (std::vector<Chunk>{{1, 160, 96}})) << "no time is left for a second prompt";
}

TEST(Scheduler, AChunkFillsThePanelsThatDecodesBegin) {
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 512, .max_step_seconds = 0.1}, 64, false);
  for (uint64_t i = 1; i <= 3; ++i) scheduler.add({.request_id = i, .prompt = prompt_of(20, static_cast<TokenId>(i))});
  timed_turn(scheduler);
  scheduler.add({.request_id = 4, .prompt = prompt_of(1000)});
  EXPECT_EQ(timed_turn(scheduler).back(), (Chunk{4, 0, 93})) << "beside three decodes: 12 panels of 8 rows";
}

// Six decodes, 1 ms a token. 8 to 16 tokens where that keeps the step within 1.9 times its limit, 16 where nothing
// does.
TEST(Scheduler, APromptGoesOnWhereDecodesAloneTakeTheTime) {
  for (const auto& [limit, tokens] : {std::pair{0.004, 16}, {0.007, 16}, {0.008, 9}, {0.0115, 15}}) {
    Scheduler scheduler({.max_num_seqs = 8, .max_step_seconds = limit}, 64, false);
    for (uint64_t i = 1; i <= 6; ++i) scheduler.add({.request_id = i, .prompt = prompt_of(2, static_cast<TokenId>(i))});
    timed_turn(scheduler);
    for (uint64_t i = 7; i <= 8; ++i)
      scheduler.add({.request_id = i, .prompt = prompt_of(40, static_cast<TokenId>(i))});
    const auto step = timed_turn(scheduler);
    ASSERT_EQ(step.size(), 7u);
    EXPECT_EQ(step.back(), (Chunk{7, 0, tokens})) << limit;
  }
}

TEST(Scheduler, APromptAloneIsNotHeldUp) {
  Scheduler scheduler({.max_num_seqs = 8, .max_step_seconds = 0.005}, 64, false);
  scheduler.learn({.num_tokens = 10, .num_attended = 0}, 0.01);
  scheduler.add({.request_id = 1, .prompt = prompt_of(40)});
  EXPECT_EQ(timed_turn(scheduler), (std::vector<Chunk>{{1, 0, 16}}));
}

TEST(Scheduler, NeverRunsMoreThanMaxNumSeqsAndCountsEverySample) {
  Scheduler scheduler({.max_num_seqs = 4}, 64, true);
  scheduler.add({.request_id = 1, .prompt = prompt_of(4, 1), .num_samples = 3});
  scheduler.add({.request_id = 2, .prompt = prompt_of(4, 2), .num_samples = 2});
  scheduler.add({.request_id = 3, .prompt = prompt_of(4, 3)});
  EXPECT_EQ(chunks(scheduler.plan()), (std::vector<Chunk>{{1, 0, 4}})) << "2 does not fit, and 3 does not overtake it";
}

TEST(Scheduler, APromptIsFoundInTheCacheButForItsLastToken) {
  Scheduler scheduler({}, 64, true);
  Sequence& first = scheduler.add({.request_id = 1, .prompt = prompt_of(64)});
  EXPECT_EQ(turn(scheduler), (std::vector<Chunk>{{1, 0, 64}}));
  scheduler.remove(first);

  Sequence& same = scheduler.add({.request_id = 2, .prompt = prompt_of(64)});
  EXPECT_EQ(turn(scheduler), (std::vector<Chunk>{{2, 63, 1}})) << "all 64 are known, but then there would be no logits";
  EXPECT_EQ(same.num_cached_tokens, 63);
  Sequence& longer = scheduler.add({.request_id = 3, .prompt = prompt_of(65)});
  EXPECT_EQ(turn(scheduler).back(), (Chunk{3, 64, 1}));
  EXPECT_EQ(longer.num_cached_tokens, 64);
  EXPECT_EQ(same.block_table[0], longer.block_table[0]);
  EXPECT_EQ(same.block_table[1], longer.block_table[1]) << "what was computed twice is kept once";
}

TEST(Scheduler, SaltsDoNotShare) {
  Scheduler scheduler({}, 64, true);
  scheduler.add({.request_id = 1, .prompt = prompt_of(65), .cache_salt = "a"});
  turn(scheduler);
  Sequence& other = scheduler.add({.request_id = 2, .prompt = prompt_of(65), .cache_salt = "b"});
  turn(scheduler);
  EXPECT_EQ(other.num_cached_tokens, 0);
  Sequence& same = scheduler.add({.request_id = 3, .prompt = prompt_of(65), .cache_salt = "a"});
  turn(scheduler);
  EXPECT_EQ(same.num_cached_tokens, 64);
}

TEST(Scheduler, EqualPromptsThatArriveTogetherAreComputedOnce) {
  Scheduler scheduler({.max_num_batched_tokens = 128}, 64, true);
  for (uint64_t i = 0; i < 3; ++i) scheduler.add({.request_id = i, .prompt = prompt_of(100)});
  EXPECT_EQ(turn(scheduler), (std::vector<Chunk>{{0, 0, 100}, {1, 0, 28}}));
  // The second leaves its first block, half done, for the first one's; the third begins where the first has got.
  EXPECT_EQ(turn(scheduler), (std::vector<Chunk>{{0, 100, 1}, {1, 96, 4}, {2, 96, 4}}));
}

TEST(Scheduler, AnswersOfEarlierTurnsAreFound) {
  Scheduler scheduler({}, 64, true);
  Sequence& first = scheduler.add({.request_id = 1, .prompt = prompt_of(20)});
  for (int i = 0; i < 60; ++i) turn(scheduler);
  auto conversation = first.tokens;
  scheduler.remove(first);
  ASSERT_EQ(conversation.size(), 80u);
  conversation.resize(90, 3);
  Sequence& second = scheduler.add({.request_id = 2, .prompt = conversation});
  const Step& step = scheduler.plan();
  EXPECT_EQ(second.num_cached_tokens, 79) << "all but the newest token of the answer, whose keys were never wanted";
  ASSERT_EQ(step.copies.size(), 1u) << "the last block was not full: it goes on in a copy";
  EXPECT_EQ(step.copies[0].to, second.block_table[2]);
}

TEST(Scheduler, OneThatPartsInsideABlockGoesOnInACopyOfIt) {
  Scheduler scheduler({}, 64, true);
  Sequence& first = scheduler.add({.request_id = 1, .prompt = prompt_of(65)});
  turn(scheduler);
  auto prompt = prompt_of(65);
  prompt[40] += 1;
  scheduler.add({.request_id = 2, .prompt = prompt});
  const Step& step = scheduler.plan();
  ASSERT_EQ(step.sequences.size(), 2u);
  EXPECT_EQ(step.sequences[1].first_position, 40);
  ASSERT_EQ(step.copies.size(), 1u);
  EXPECT_EQ(step.copies[0].from, first.block_table[1]);
}

TEST(Scheduler, ExhaustionPreemptsTheNewestOfTheLowestPriority) {
  Scheduler scheduler({}, 7, false);
  // Three prompts of 2 blocks each that need a third after one token; one block is left.
  Sequence& important = scheduler.add({.request_id = 1, .prompt = prompt_of(64, 1), .priority = -1});
  Sequence& old = scheduler.add({.request_id = 2, .prompt = prompt_of(64, 2)});
  turn(scheduler);
  ASSERT_EQ(scheduler.num_running(), 2);
  Sequence& newest = scheduler.add({.request_id = 3, .prompt = prompt_of(30, 3)});
  turn(scheduler);
  ASSERT_EQ(scheduler.num_running(), 2)
      << "the two that run may need the free blocks: no admission that would be undone at once";
  EXPECT_EQ(important.block_table.size() + old.block_table.size(), 6u);
  while (old.num_preemptions == 0) turn(scheduler);
  EXPECT_EQ(important.num_preemptions, 0);
  EXPECT_EQ(newest.num_preemptions, 0);
  EXPECT_TRUE(old.block_table.empty());
  EXPECT_EQ(important.num_tokens(), 98) << "it went on with the last block";
  scheduler.remove(important);
  turn(scheduler);
  EXPECT_EQ(scheduler.num_running(), 2) << "both come back";
  EXPECT_EQ(old.num_computed, old.num_tokens() - 1);
}

TEST(Scheduler, RemovalGivesBlocksBackAtOnce) {
  Scheduler scheduler({}, 8, true);
  Sequence& running = scheduler.add({.request_id = 1, .prompt = prompt_of(100, 1)});
  Sequence& waiting = scheduler.add({.request_id = 2, .prompt = prompt_of(250, 2)});
  turn(scheduler);
  EXPECT_EQ(scheduler.num_waiting(), 1);
  EXPECT_EQ(scheduler.blocks().num_free(), 4);
  scheduler.remove(running);
  EXPECT_EQ(scheduler.blocks().num_free(), 8);
  scheduler.remove(waiting);
  EXPECT_FALSE(scheduler.has_work());
  EXPECT_TRUE(scheduler.plan().sequences.empty());
  EXPECT_EQ(integrity(scheduler), "");
}

TEST(Scheduler, SamplesShareThePromptAndCopyTheBlockTheyWriteTo) {
  Scheduler scheduler({}, 64, true);
  Sequence& first = scheduler.add({.request_id = 1, .prompt = prompt_of(40), .num_samples = 3});
  scheduler.commit(scheduler.plan());
  const auto siblings = scheduler.fork(first);
  ASSERT_EQ(siblings.size(), 2u);
  EXPECT_EQ(scheduler.blocks().num_free(), 62) << "no block more than one prompt needs";
  const int32_t full = first.block_table[0], shared = first.block_table[1];
  EXPECT_EQ(scheduler.blocks().num_refs(shared), 3);
  scheduler.append(first, 1);
  scheduler.append(*siblings[0], 2);
  scheduler.append(*siblings[1], 3);

  const Step& step = scheduler.plan();
  ASSERT_EQ(step.copies.size(), 2u) << "the last owner writes in place";
  std::set<int32_t> ends;
  for (const auto& s : step.sequences) {
    EXPECT_EQ(s.sequence->block_table[0], full);
    ends.insert(s.sequence->block_table[1]);
  }
  EXPECT_EQ(ends.size(), 3u);
  for (const auto& copy : step.copies) {
    EXPECT_EQ(copy.from, shared);
    EXPECT_TRUE(ends.contains(copy.to));
  }
  scheduler.commit(step);
}

TEST(Scheduler, PromptsToScoreGetEveryRowOnceAndNoMoreThanAllowedAStep) {
  Scheduler scheduler({.max_num_batched_tokens = 100, .max_scored_rows = 30}, 64, true);
  scheduler.add({.request_id = 9, .prompt = prompt_of(100)});
  turn(scheduler);
  Sequence& scored = scheduler.add({.request_id = 1, .prompt = prompt_of(100), .score_prompt = true});
  std::vector<int64_t> rows;
  bool sampled = false;
  while (!sampled) {
    const Step& step = scheduler.plan();
    int64_t in_step = 0;
    for (const auto& s : step.sequences) {
      in_step += s.num_scored_rows;
      if (s.sequence != &scored) continue;
      const int64_t end = s.first_position + s.num_tokens;
      for (int64_t i = end - s.num_logits(); i < end; ++i) rows.push_back(i);
      sampled = s.samples;
    }
    EXPECT_LE(in_step, 30);
    scheduler.commit(step);
    for (const auto& s : step.sequences)
      if (s.samples) scheduler.append(*s.sequence, 1);
  }
  std::vector<int64_t> all(100);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(rows, all) << "cached blocks have no logits: such a prompt is computed whole";
}

struct Load {
  const char* name;
  DriverConfig config;
};
std::ostream& operator<<(std::ostream& out, const Load& load) { return out << load.name; }
class SchedulerUnderLoad : public ::testing::TestWithParam<Load> {};

// Arrivals, cancels, exhaustion and forks at random; after every step the books are checked, and every answer is what
// it would be alone (the driver's answers depend on all tokens that the block tables lead to).
TEST_P(SchedulerUnderLoad, NothingIsLostMixedOrLeaked) {
  DriverConfig config = GetParam().config;
  config.num_steps *= kLoadFactor;
  SchedulerDriver driver(config);
  driver.run();
  if (HasFatalFailure()) return;
  EXPECT_EQ(driver.num_finished() + driver.num_cancelled(), driver.num_added());
  EXPECT_GT(driver.num_finished(), 500);
  if (GetParam().config.num_blocks < 50) {
    EXPECT_GT(driver.num_preemptions(), 50u);
  }
  if (GetParam().config.speculate) {
    EXPECT_GT(driver.num_accepted(), 500);
    EXPECT_GT(driver.num_rejected(), 500);
  }
  RecordProperty("steps", driver.num_steps());
  RecordProperty("preemptions", static_cast<int>(driver.num_preemptions()));
}

uint64_t always_collides(uint64_t, std::span<const TokenId>) { return 7; }

INSTANTIATE_TEST_SUITE_P(
    Loads, SchedulerUnderLoad,
    ::testing::Values(
        Load{"Tight", {.seed = 1, .num_steps = 60000, .num_blocks = 16}},
        Load{"Roomy", {.seed = 2, .num_steps = 20000, .num_blocks = 200, .max_num_seqs = 16}},
        Load{"TinyChunks", {.seed = 3, .num_steps = 30000, .num_blocks = 20, .max_num_batched_tokens = 9}},
        Load{"Guessing", {.seed = 6, .num_steps = 30000, .num_blocks = 24, .speculate = true}},
        Load{"ShortSteps", {.seed = 7, .num_steps = 60000, .num_blocks = 24, .max_step_seconds = 0.02}},
        Load{"Holding", {.seed = 8, .num_steps = 30000, .num_blocks = 20, .speculate = true, .holds = true}},
        Load{"NoCache", {.seed = 4, .num_steps = 20000, .num_blocks = 16, .enable_prefix_caching = false}},
        Load{"CollidingHashes", {.seed = 5, .num_steps = 20000, .num_blocks = 16, .hash = always_collides}}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace retort::testing
