#include "server/degradation.h"

#include <gtest/gtest.h>

#include "base/log.h"

namespace retort {
namespace {

using namespace std::chrono_literals;

class DegradationTest : public ::testing::Test {
 protected:
  void SetUp() override { spdlog::set_level(spdlog::level::off); }

  Degradation::Clock::time_point now_{};
  Degradation rules_{{.memory_share = 0.9, .timeouts = 3, .recovery = 30s}};
};

TEST_F(DegradationTest, BeginsAboveTheShareOfMemoryAndEndsWhenThatIsLongOver) {
  rules_.see_memory(0.9, now_);
  EXPECT_FALSE(rules_.cause()) << "at the limit, not above";
  rules_.see_memory(0.91, now_);
  EXPECT_EQ(rules_.cause(), DegradeCause::kMemory);
  rules_.see_memory(0.91, now_ + 20s);
  rules_.see_memory(0.5, now_ + 21s);
  rules_.see_memory(0.5, now_ + 49s);
  EXPECT_EQ(rules_.cause(), DegradeCause::kMemory) << "30 s after it was last seen";
  rules_.see_memory(0.5, now_ + 50s);
  EXPECT_FALSE(rules_.cause());
  rules_.see_memory(0.95, now_ + 60s);
  EXPECT_EQ(rules_.num_times(DegradeCause::kMemory), 2u);
  EXPECT_EQ(rules_.num_recoveries(DegradeCause::kMemory), 1u);
  EXPECT_EQ(rules_.num_recoveries(DegradeCause::kTimeouts), 0u);
}

TEST_F(DegradationTest, BeginsWithTimeoutsInARow) {
  for (const bool timed_out : {true, true, false, true, true}) rules_.see_end(timed_out, now_);
  EXPECT_FALSE(rules_.cause()) << "one that ended well came between";
  rules_.see_end(true, now_);
  EXPECT_EQ(rules_.cause(), DegradeCause::kTimeouts);
  rules_.see_end(true, now_ + 20s);
  rules_.see_end(false, now_ + 21s);
  rules_.see_memory(0.1, now_ + 49s);
  EXPECT_TRUE(rules_.is_active(DegradeCause::kTimeouts)) << "the last was 29 s ago";
  rules_.see_memory(0.1, now_ + 50s);
  EXPECT_FALSE(rules_.cause());
  EXPECT_EQ(rules_.num_times(DegradeCause::kTimeouts), 1u);
  EXPECT_EQ(rules_.num_times(DegradeCause::kMemory), 0u);
}

TEST_F(DegradationTest, CanBeSwitchedOff) {
  Degradation never({.memory_share = 1, .timeouts = 0});
  never.see_memory(1, now_);
  for (int i = 0; i < 10; ++i) never.see_end(true, now_);
  EXPECT_FALSE(never.cause());
  EXPECT_FALSE(never.rejects());
}

}  // namespace
}  // namespace retort
