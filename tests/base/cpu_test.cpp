#include "base/cpu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace retort {
namespace {

class ForcedIsa : public testing::Test {
 protected:
  void SetUp() override {
    if (const char* value = std::getenv("RETORT_ISA")) before_ = value;
  }
  void TearDown() override {
    if (before_.empty())
      unsetenv("RETORT_ISA");
    else
      setenv("RETORT_ISA", before_.c_str(), 1);
  }

 private:
  std::string before_;
};

TEST_F(ForcedIsa, NamesChooseAmongTheSupported) {
  for (Isa isa : supported_isas()) {
    setenv("RETORT_ISA", std::string(isa_name(isa)).c_str(), 1);
    EXPECT_EQ(select_isa().value(), isa);
    EXPECT_EQ(isa_from_name(isa_name(isa)), isa);
  }
  unsetenv("RETORT_ISA");
  EXPECT_EQ(select_isa().value(), supported_isas().back());
}

TEST_F(ForcedIsa, AnUnknownNameIsAnErrorThatListsTheSupported) {
  setenv("RETORT_ISA", "avx9000", 1);
  const auto isa = select_isa();
  ASSERT_FALSE(isa);
  EXPECT_THAT(isa.error().message, testing::AllOf(testing::HasSubstr("'avx9000'"), testing::HasSubstr("scalar")));
}

TEST(Cpu, EveryMachineRunsTheScalarTwin) { EXPECT_EQ(supported_isas().front(), Isa::kScalar); }

#if defined(__x86_64__)
TEST(Cpu, OnIntelSumsInFloat32ArePreferredToBf16) {
  __builtin_cpu_init();
  if (!__builtin_cpu_is("intel")) GTEST_SKIP() << "vdpbf16ps is quick here";
  EXPECT_NE(supported_isas().back(), Isa::kAvx512Bf16);
}
#endif

TEST(Cpu, ThreadsStayWithinTheAllowedCpus) {
  EXPECT_GE(default_num_threads(), 1);
  EXPECT_LE(default_num_threads(), static_cast<int>(allowed_cpus().size()));
}

TEST(Cpu, MemoryIsPlausible) {
  const Memory memory = memory_of_machine();
  EXPECT_GT(memory.limit, 64u << 20);
  EXPECT_LE(memory.available, memory.limit);
  EXPECT_GT(resident_bytes(), 100u << 10);
  EXPECT_LT(resident_bytes(), memory.limit);
}

TEST(Cpu, AddressSpaceBoundsTheMemoryOfAProcess) {
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
