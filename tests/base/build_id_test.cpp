#include "base/build_id.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

namespace retort {
namespace {

TEST(BuildId, IsWhatReadelfFinds) {
  std::string printed;
  FILE* pipe = ::popen("readelf -n /proc/$PPID/exe", "r");
  ASSERT_NE(pipe, nullptr);
  char line[512];
  while (::fgets(line, sizeof(line), pipe) != nullptr) printed += line;
  ::pclose(pipe);
  ASSERT_THAT(build_id(), testing::MatchesRegex("[0-9a-f]+"));
  EXPECT_THAT(printed, testing::HasSubstr("Build ID: " + build_id()));
}

}  // namespace
}  // namespace retort
