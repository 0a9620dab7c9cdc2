#if defined(__x86_64__)
#include "kernels/emulated_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/matmul_problem.h"

namespace retort {
namespace {

struct Emulated {
  const char* name;
  const TileKernels& kernels;
};
const Emulated kEmulated[] = {{"AVX-VNNI", kEmulatedAvxVnniTileKernels},
                              {"AVX-512 VNNI", kEmulatedAvx512VnniTileKernels},
                              {"AMX", kEmulatedAmxTileKernels}};

class EmulatedKernels : public testing::TestWithParam<TensorType> {
 protected:
  void SetUp() override {
    const auto isas = supported_isas();
    if (std::ranges::find(isas, Isa::kAvx2) == isas.end()) GTEST_SKIP() << "the emulation needs AVX2";
  }

  static void expect_scalar_twin(const Problem& p, int64_t rows, const KernelTuning* tuning = nullptr) {
    const auto expected = multiply(p, Isa::kScalar, rows, 1);
    for (const Emulated& emulated : kEmulated) {
      const auto out = multiply(p, emulated.kernels, rows, 1, nullptr, false, 0, tuning);
      for (size_t i = 0; i < out.size(); ++i)
        ASSERT_EQ(std::bit_cast<uint32_t>(out[i]), std::bit_cast<uint32_t>(expected[i]))
            << emulated.name << ", " << p.tensor.shape[0] << " outputs, " << p.tensor.shape[1] << " inputs, " << rows
            << " rows, at " << i << ": " << out[i] << " against " << expected[i];
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Matmul, EmulatedKernels, testing::ValuesIn(every_type()), name_of_type);

TEST_P(EmulatedKernels, EqualTheScalarTwin) {
  for (const int64_t outputs : {1, 15, 16, 17, 33})
    for (const int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 18, 19, 20, 21, 22, 24, 26, 29, 33, 40, 65})
      expect_scalar_twin(make_problem(GetParam(), outputs, 256 + 256 * (rows % 3), rows, static_cast<unsigned>(rows)),
                         rows);
}

// Groups of inputs that are no whole chunk of a tile, nor a pair for AMX.
TEST_P(EmulatedKernels, TakePartOfAChunk) {
  if (info_of(GetParam()).block_elements > 32) GTEST_SKIP() << "its blocks are whole chunks";
  for (const int64_t inputs : {32, 96, 160})
    for (const int64_t rows : {1, 7, 16, 53}) expect_scalar_twin(make_problem(GetParam(), 17, inputs, rows, 9), rows);
}

TEST_P(EmulatedKernels, HoldExtremeSums) {
  if (info_of(GetParam()).block_elements == 1) GTEST_SKIP() << "no integers";
  const Problem p = make_extreme_problem(GetParam(), 32, 512, 37);
  for (const int64_t rows : {1, 5, 37}) expect_scalar_twin(p, rows);
}

TEST_P(EmulatedKernels, NanAndInfinityStayVisible) {
  for (const int64_t rows : {2, 7, 37}) {
    const Problem p = make_problem(GetParam(), 17, 256, rows, 5);
    for (const float poison : {NAN, INFINITY, -INFINITY}) {
      Problem spoilt = p;
      spoilt.input[256 + 130] = poison;
      for (const Emulated& emulated : kEmulated) {
        const auto before = multiply(p, emulated.kernels, rows, 1), out = multiply(spoilt, emulated.kernels, rows, 1);
        for (size_t i = 0; i < out.size(); ++i) {
          if (i / 17 == 1)
            ASSERT_FALSE(std::isfinite(out[i])) << emulated.name << ", " << poison << ", output " << i;
          else
            ASSERT_EQ(out[i], before[i]) << emulated.name << ", beside the spoilt row, at " << i;
        }
      }
    }
  }
}

TEST_P(EmulatedKernels, TuningChangesNoBit) {
  for (const int64_t rows : {1, 4, 9, 16, 21}) {
    const Problem p = make_problem(GetParam(), 17, 256, rows, static_cast<unsigned>(rows));
    for (const int many_from : {1, 4, 9, kNoManyRows}) {
      const KernelTuning tuning{1, many_from, many_from == 4};
      expect_scalar_twin(p, rows, &tuning);
    }
  }
}

}  // namespace
}  // namespace retort
#endif
