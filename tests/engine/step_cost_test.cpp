#include "engine/step_cost.h"

#include <gtest/gtest.h>

#include <random>

namespace retort {
namespace {

StepShape decodes(int num, int64_t context) {
  StepShape shape;
  for (int i = 0; i < num; ++i) shape.add_run(context, 1);
  return shape;
}

StepShape with_chunk(StepShape shape, int64_t first, int64_t num) {
  shape.add_run(first, num);
  return shape;
}

// A machine of known speed: 30 ms for the weights, 4 ms a token, 2 µs a position attended.
double seconds_of(const StepShape& s) {
  return 0.030 + 0.004 * static_cast<double>(s.num_tokens) + 2e-6 * static_cast<double>(s.num_attended);
}

TEST(StepShape, CountsThePositionsEachRowLooksAt) {
  StepShape shape;
  shape.add_run(10, 3);  // looks at 11, 12 and 13 positions
  EXPECT_EQ(shape.num_attended, 36);
  shape.add_run(0, 1);
  EXPECT_EQ(shape.num_attended, 37);
  EXPECT_EQ(shape.num_tokens, 4);
}

TEST(StepCost, KnowsNothingBeforeTheFirstStepAndIsCarefulAfterIt) {
  StepCost cost;
  EXPECT_FALSE(cost.knows());
  EXPECT_EQ(cost.tokens_that_fit(decodes(8, 100), 0, 1), 56) << "64 in all";
  const StepShape prompt = with_chunk({}, 0, 64);
  cost.learn(prompt, seconds_of(prompt));
  EXPECT_TRUE(cost.knows());
  EXPECT_NEAR(cost.predict(prompt), seconds_of(prompt), 0.01 * seconds_of(prompt));
  EXPECT_GE(cost.predict(with_chunk({}, 0, 512)), 0.95 * seconds_of(with_chunk({}, 0, 512)));
}

TEST(StepCost, FindsTheSpeedOfAMachineWhateverTheFirstStepWas) {
  for (const StepShape& first : {decodes(1, 5), with_chunk({}, 0, 64), with_chunk(decodes(8, 900), 2000, 512)}) {
    StepCost cost;
    cost.learn(first, seconds_of(first));
    std::mt19937 random(7);
    for (int i = 0; i < 100; ++i) {
      const StepShape shape =
          with_chunk(decodes(static_cast<int>(random() % 17), random() % 4000), random() % 3000, 1 + random() % 300);
      cost.learn(shape, seconds_of(shape));
    }
    for (const StepShape& shape : {decodes(8, 1000), with_chunk(decodes(8, 100), 2500, 40), with_chunk({}, 0, 256)})
      EXPECT_NEAR(cost.predict(shape), seconds_of(shape), 0.05 * seconds_of(shape));
  }
}

// What a server really sees first: many decodes of one stream, then a long prompt.
TEST(StepCost, AfterDecodesAloneAFewChunksTeachItThePrice) {
  StepCost cost;
  for (int i = 0; i < 500; ++i) cost.learn(decodes(8, 100 + i), seconds_of(decodes(8, 100 + i)));
  int64_t first = 0;
  for (int i = 0; i < 6; ++i) {
    const StepShape beside = decodes(8, 600 + i);
    const int64_t num = std::max<int64_t>(16, cost.tokens_that_fit(beside, first, 0.2));
    const StepShape shape = with_chunk(beside, first, num);
    EXPECT_LT(seconds_of(shape), 0.4) << "chunk " << i << " of " << num << " tokens";
    EXPECT_LE(num, 64 << i);
    cost.learn(shape, seconds_of(shape));
    first += num;
  }
  const StepShape shape = with_chunk(decodes(8, 606), first, cost.tokens_that_fit(decodes(8, 606), first, 0.2));
  EXPECT_NEAR(seconds_of(shape), 0.2, 0.03);
}

TEST(StepCost, TokensThatFitTakeTheTimeGivenAndNoMore) {
  StepCost cost;
  std::mt19937 random(3);
  for (int i = 0; i < 100; ++i) {
    const StepShape shape = with_chunk(decodes(4, random() % 4000), random() % 4000, 1 + random() % 200);
    cost.learn(shape, seconds_of(shape));
  }
  for (int64_t first : {0, 100, 10'000}) {
    const StepShape beside = decodes(4, 500);
    const int64_t num = cost.tokens_that_fit(beside, first, 0.5);
    EXPECT_LE(cost.tokens_that_fit(beside, first, 100), 400) << "no step had more than 204 tokens";
    EXPECT_LE(cost.predict(with_chunk(beside, first, num)), 0.5);
    EXPECT_GT(cost.predict(with_chunk(beside, first, num + 2)), 0.5);
  }
  EXPECT_EQ(cost.tokens_that_fit(decodes(4, 500), 0, 0.01), 0);
}

TEST(StepCost, OneOddStepIsShruggedOffAndALastingChangeLearned) {
  StepCost cost;
  const StepShape shape = with_chunk(decodes(8, 300), 500, 64);
  for (int i = 0; i < 50; ++i) cost.learn(shape, seconds_of(shape));
  cost.learn(shape, 100 * seconds_of(shape));
  EXPECT_LT(cost.predict(shape), 1.1 * seconds_of(shape));
  for (int i = 0; i < 200; ++i) cost.learn(shape, 5 * seconds_of(shape));
  EXPECT_NEAR(cost.predict(shape), 5 * seconds_of(shape), 0.25 * seconds_of(shape));
}

}  // namespace
}  // namespace retort
