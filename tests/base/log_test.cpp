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

TEST(Log, EscapesWhatWouldBreakAJsonLine) {
  EXPECT_EQ(log::json_escaped("plain ä"), "plain ä");
  EXPECT_EQ(log::json_escaped("a\"b\\c\nd\x01\x7f"), R"(a\"b\\c\u000ad\u0001\u007f)");
}

}  // namespace
}  // namespace retort
