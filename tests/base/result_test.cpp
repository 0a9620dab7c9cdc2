#include "base/result.h"

#include <gtest/gtest.h>

namespace retort {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return fail(ErrorKind::kBadInput, "[test] expected an even number, got {}", value);
  return value / 2;
}

Status check_half(int value) {
  RETORT_TRY(half(value));
  return {};
}

Result<int> quarter(int value) {
  RETORT_ASSIGN(const int once, half(value));
  RETORT_ASSIGN(const int twice, half(once));
  return twice;
}

TEST(Result, AssignPassesValuesOnAndLeavesWithErrors) {
  EXPECT_EQ(quarter(12).value(), 3);
  const auto odd = quarter(6);
  ASSERT_FALSE(odd);
  EXPECT_EQ(odd.error().kind, ErrorKind::kBadInput);
  EXPECT_EQ(odd.error().message, "[test] expected an even number, got 3");
}

TEST(Result, TryKeepsTheError) {
  EXPECT_TRUE(check_half(4));
  EXPECT_EQ(check_half(5).error().message, "[test] expected an even number, got 5");
}

TEST(ResultDeathTest, ABrokenInvariantEndsTheProcessAndSaysWhere) {
  EXPECT_DEATH(RETORT_CHECK(1 + 1 == 3), "broken invariant at .*result_test.cpp:.*1 \\+ 1 == 3");
}

}  // namespace
}  // namespace retort
