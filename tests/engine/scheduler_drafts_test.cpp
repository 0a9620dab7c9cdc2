// Drafts run where they pay, and take nothing from those beside them.
#include <gtest/gtest.h>

#include <random>
#include <utility>
#include <vector>

#include "scheduler_turns.h"

namespace retort::testing {
namespace {

// A decoding sequence with these drafts, and a price: 10 ms a step and 1 ms a row.
class Drafting : public ::testing::Test {
 protected:
  Drafting() {
    sequence_ = &scheduler_.add({.request_id = 1, .prompt = prompt_of(31)});
    turn(scheduler_);
    std::mt19937 random(1);
    for (int i = 0; i < 50; ++i) {
      StepShape shape;
      shape.add_run(0, 1 + random() % 40);
      scheduler_.learn(shape, 0.010 + 0.001 * static_cast<double>(shape.num_tokens));
    }
    sequence_->drafts = {11, 12, 13, 14, 15};
  }
  Scheduler scheduler_{{.max_num_seqs = 4, .max_num_batched_tokens = 31}, 64, true};
  Sequence* sequence_;
};

class DraftsThatPay : public Drafting, public ::testing::WithParamInterface<std::pair<double, int>> {};

// At one half: a half for 1 ms, then a quarter; an eighth no more, at 13 ms for 1.75 tokens.
TEST_P(DraftsThatPay, Run) {
  sequence_->draft_acceptance = GetParam().first;
  EXPECT_EQ(scheduler_.plan().sequences.at(0).num_drafts, GetParam().second);
}
INSTANTIATE_TEST_SUITE_P(Acceptances, DraftsThatPay,
                         ::testing::Values(std::pair(1.0, 5), std::pair(0.5, 2), std::pair(0.05, 0)));

TEST_F(Drafting, RightOnesNeedNotRunAgainAndWrongOnesLeaveNothing) {
  sequence_->draft_acceptance = 1;
  const Step& step = scheduler_.plan();
  ASSERT_EQ(step.sequences.at(0).num_tokens, 6);
  EXPECT_EQ(std::vector<TokenId>(sequence_->tokens.end() - 5, sequence_->tokens.end()), sequence_->drafts);
  scheduler_.commit(step);
  EXPECT_EQ(sequence_->num_tokens(), 32);
  EXPECT_EQ(sequence_->num_computed, 32);
  for (TokenId token : {11, 12}) {
    scheduler_.append(*sequence_, token);
    scheduler_.accept(*sequence_);
  }
  scheduler_.append(*sequence_, 40);
  sequence_->drafts.clear();
  EXPECT_EQ(integrity(scheduler_), "");
  EXPECT_EQ(turn(scheduler_), (std::vector<Chunk>{{1, 34, 1}}));
}

TEST_F(Drafting, LeavesAPromptItsRoom) {
  sequence_->draft_acceptance = 1;
  sequence_->drafts.assign(40, 1);
  scheduler_.add({.request_id = 2, .prompt = prompt_of(40, 2)});
  EXPECT_EQ(chunks(scheduler_.plan()), (std::vector<Chunk>{{1, 31, 15}, {2, 0, 16}}));
}

TEST(Scheduler, NobodyIsPreemptedForAGuess) {
  Scheduler scheduler({.max_num_seqs = 2}, 3, true);
  for (TokenId i : {1, 2}) {
    Sequence& sequence = scheduler.add({.request_id = 1, .prompt = prompt_of(29, i)});
    sequence.drafts = {1, 1, 1};
    sequence.draft_acceptance = 1;
  }
  timed_turn(scheduler);
  const auto& sequences = scheduler.plan().sequences;
  ASSERT_EQ(sequences.size(), 2u);
  EXPECT_EQ(sequences[0].num_drafts, 3) << "takes the one free block";
  EXPECT_EQ(sequences[1].num_drafts, 2) << "what its own block still holds";
  EXPECT_EQ(scheduler.num_preemptions(), 0u);
}

}  // namespace
}  // namespace retort::testing
