#include "base/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

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
  EXPECT_EQ(log::json_escaped("\u0080\u009f\u00a0 À"), "\\u0080\\u009f\u00a0 À") << "C1 control characters, and others";
  EXPECT_EQ(log::json_escaped("a\"b\\c\nd\x01\x7f"), R"(a\"b\\c\u000ad\u0001\u007f)");
}

TEST(Log, ShowsControlCharacters) {
  ASSERT_TRUE(log::init("info"));
  ::testing::internal::CaptureStderr();
  log::info("the model {} is loaded\nin two lines", "\x1b[31mred\u009b0m");
  const auto line = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(line.find("the model \\x1b[31mred\\x9b0m is loaded\nin two lines\n"), std::string::npos) << line;
}

TEST(Log, DoesNotWaitForItsReader) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  const int before = dup(STDERR_FILENO);
  dup2(ends[1], STDERR_FILENO);
  ASSERT_TRUE(log::init("info"));
  for (int i = 0; i < 3000; ++i) log::info("line {} {:>60}", i, "");  // more than a pipe holds
  const auto read_all = [&] {
    std::string text(1 << 20, ' ');
    const auto size = read(ends[0], text.data(), text.size());
    return text.substr(0, size > 0 ? static_cast<size_t>(size) : 0);
  };
  const std::string held = read_all();
  log::info("the reader is back");
  const std::string after = read_all();
  dup2(before, STDERR_FILENO);
  for (const int fd : {before, ends[0], ends[1]}) close(fd);
  const auto lines = std::ranges::count(held, '\n');
  EXPECT_GT(lines, 100);
  EXPECT_NE(after.find(fmt::format("{} lines of the log are lost", 3000 - lines)), std::string::npos) << after;
  EXPECT_NE(after.find("the reader is back"), std::string::npos);
}

}  // namespace
}  // namespace retort
