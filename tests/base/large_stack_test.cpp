#include "base/large_stack.h"

#include <gtest/gtest.h>

namespace retort {
namespace {

constexpr size_t kFrame = 1024;

// Needs more than `depth` KiB of stack.
int descend(int depth) {
  volatile char frame[kFrame];
  frame[0] = static_cast<char>(depth);
  return depth == 0 ? 0 : descend(depth - 1) + (frame[0] == static_cast<char>(depth) ? 1 : 0);
}

TEST(LargeStack, HoldsWhatTheOwnWouldNot) {
  int depth = 0;
  const Status done = run_with_stack(size_t{256} << 20, [&] { depth = descend(60'000); });
  EXPECT_TRUE(done);
  EXPECT_EQ(depth, 60'000);
}

TEST(LargeStack, SaysThatItIsNotToBeHad) {
  bool has_run = false;
  const Status done = run_with_stack(size_t{1} << 60, [&] { has_run = true; });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind, ErrorKind::kUnavailable);
  EXPECT_TRUE(done.error().message.starts_with("a thread with a stack of 1099511627776 MiB could not be started: "))
      << done.error().message;
  EXPECT_NE(done.error().message.find("(ulimit -v)"), std::string::npos) << done.error().message;
  EXPECT_FALSE(has_run);
}

}  // namespace
}  // namespace retort
