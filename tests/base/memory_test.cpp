#include "base/memory.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

namespace retort {
namespace {

TEST(Memory, IsPlausible) {
  const Memory memory = memory_of_machine();
  EXPECT_GT(memory.limit, 64u << 20);
  EXPECT_LE(memory.available, memory.limit);
  EXPECT_GT(resident_bytes(), 100u << 10);
  EXPECT_LT(resident_bytes(), memory.limit);
}

TEST(Memory, OfAProcessIsBoundByItsAddressSpace) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  if (before.rlim_cur == RLIM_INFINITY) {
    const Memory machine = memory_of_machine();
    EXPECT_EQ(memory_of_process().limit, machine.limit);
  }
  std::ifstream in("/proc/self/statm");
  uint64_t pages = 0;
  in >> pages;
  const uint64_t mapped = pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)), more = 32u << 20;
  const rlimit low{mapped + (uint64_t{2} << 30) + more, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_AS, &low), 0);
  const Memory memory = memory_of_process();
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
  EXPECT_LE(memory.available, more);
  EXPECT_GT(memory.available, more / 2);
  EXPECT_LE(memory.limit, low.rlim_cur);
}

}  // namespace
}  // namespace retort
