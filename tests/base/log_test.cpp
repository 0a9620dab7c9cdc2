#include "base/log.h"

#include <gtest/gtest.h>

namespace retort {
namespace {

TEST(Log, RefusesAnUnknownLevel) {
  EXPECT_TRUE(log::init("warning"));
  const auto status = log::init("loud");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "[log] level: expected debug, info, warning, error or off, got 'loud'");
}

}  // namespace
}  // namespace retort
