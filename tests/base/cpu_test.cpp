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

TEST(Cpu, EveryX86MachineRunsTheFastestLast) {
  using enum Isa;
  using testing::ElementsAre;
  EXPECT_THAT(isas_of({}), ElementsAre(kScalar));
  EXPECT_THAT(isas_of({.avx2 = true}), ElementsAre(kScalar, kAvx2)) << "Zen 3";
  EXPECT_THAT(isas_of({.is_intel = true, .avx2 = true, .avxvnni = true}), ElementsAre(kScalar, kAvx2, kAvxVnni))
      << "Alder Lake";
  EXPECT_THAT(isas_of({.is_intel = true, .avx2 = true, .avx512vnni = true}), ElementsAre(kScalar, kAvx2, kAvx512Vnni))
      << "Cascade Lake";
  EXPECT_THAT(isas_of({.avx2 = true, .avxvnni = true, .avx512vnni = true, .avx512bf16 = true}),
              ElementsAre(kScalar, kAvx2, kAvxVnni, kAvx512Vnni, kAvx512Bf16))
      << "Zen 5";
  X86Features sapphire_rapids{
      .is_intel = true, .avx2 = true, .avxvnni = true, .avx512vnni = true, .avx512bf16 = true, .amx = true};
  EXPECT_THAT(isas_of(sapphire_rapids), ElementsAre(kScalar, kAvx2, kAvxVnni, kAvx512Bf16, kAvx512Vnni, kAmx));
  sapphire_rapids.amx = false;
  EXPECT_THAT(isas_of(sapphire_rapids), ElementsAre(kScalar, kAvx2, kAvxVnni, kAvx512Bf16, kAvx512Vnni));
  EXPECT_THAT(isas_of({.avxvnni = true, .avx512vnni = true}), ElementsAre(kScalar)) << "AVX2 or FMA is masked";
}

TEST(Cpu, ThreadsStayWithinTheAllowedCpus) {
  EXPECT_GE(default_num_threads(), 1);
  EXPECT_LE(default_num_threads(), static_cast<int>(allowed_cpus().size()));
}

}  // namespace
}  // namespace retort
