#include "base/cpu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

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

}  // namespace
}  // namespace retort
