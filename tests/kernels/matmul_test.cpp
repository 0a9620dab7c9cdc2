#include "kernels/matmul.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include "formats/codecs.h"
#include "kernels/matmul_problem.h"

namespace retort {
namespace {

float flushed(float x) { return std::abs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }
float as_bf16(float x) { return flushed(bf16_to_f32(f32_to_bf16(flushed(x)))); }

// What Bf16Kernels say they do.
std::vector<float> multiply_in_bf16(const Problem& p, int64_t rows) {
  const auto inputs = static_cast<int64_t>(p.tensor.shape[1]), outputs = static_cast<int64_t>(p.tensor.shape[0]);
  std::vector<float> out;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t o = 0; o < outputs; ++o) {
      float acc = 0;
      for (int64_t pair = 0; pair < inputs; pair += 2)
        for (const int64_t k : {pair + 1, pair})
          if (k < inputs)
            acc = flushed(std::fma(flushed(p.weight[static_cast<size_t>(o * inputs + k)]),
                                   as_bf16(p.input[static_cast<size_t>(r * inputs + k)]), acc));
      out.push_back(acc);
    }
  return out;
}

template <class Kernels>
std::vector<float> multiply_tuned(const Problem& p, const Kernels& kernels, int64_t rows, const KernelTuning& tuning) {
  return multiply(p, kernels, rows, 1, nullptr, false, 0, &tuning);
}

std::vector<KernelTuning> all_tunings() {
  std::vector<KernelTuning> tunings;
  for (const int nudged : {0, 1, 2, 3, 4, 8, 16})
    for (int many_from = 1; many_from <= kNoManyRows; ++many_from)
      tunings.push_back({nudged, many_from, many_from % 2 == 0});
  return tunings;
}

// The specification's result, for this set.
std::vector<float> specified(const Problem& p, Isa isa, int64_t rows) {
  const bool in_bf16 = isa == Isa::kAvx512Bf16;
  return in_bf16 && p.tensor.type == TensorType::kBF16 ? multiply_in_bf16(p, rows) : multiply(p, Isa::kScalar, rows);
}

class EveryType : public testing::TestWithParam<TensorType> {};

INSTANTIATE_TEST_SUITE_P(Matmul, EveryType, testing::ValuesIn(every_type()), name_of_type);

TEST_P(EveryType, PackingKeepsEveryWeight) {
  const Problem p = make_problem(GetParam(), 19, 512, 1, 1);
  ThreadPool pool(1);
  const auto packed = PackedMatrix::pack(p.tensor, pool).value();
  std::vector<float> row(512);
  for (int64_t o = 0; o < 19; ++o) {
    packed.dequantize_row(o, row.data());
    for (size_t k = 0; k < 512; ++k)
      ASSERT_NEAR(row[k], p.weight[static_cast<size_t>(o) * 512 + k], 1e-6f * std::abs(row[k]) + 1e-7f)
          << "output " << o << " input " << k;
  }
}

// |result − exact| ≤ Σ |w| · scale / 2 (rounding of activations) + float32 rounding.
TEST_P(EveryType, ScalarTwinAgreesWithDequantisedWeights) {
  const int64_t outputs = 19, inputs = 512, rows = 5;
  const Problem p = make_problem(GetParam(), outputs, inputs, rows, 2);
  const auto out = multiply(p, Isa::kScalar, rows);
  const bool quantised = info_of(GetParam()).block_elements > 1;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t o = 0; o < outputs; ++o) {
      double exact = 0, bound = 0, magnitude = 0;
      for (int64_t g = 0; g < inputs / 32; ++g) {
        float largest = 0;
        double weights = 0;
        for (int64_t k = 32 * g; k < 32 * g + 32; ++k) {
          const double w = p.weight[static_cast<size_t>(o * inputs + k)],
                       a = p.input[static_cast<size_t>(r * inputs + k)];
          exact += w * a;
          magnitude += std::abs(w * a);
          weights += std::abs(w);
          largest = std::max(largest, std::abs(static_cast<float>(a)));
        }
        if (quantised) bound += weights * largest / 127 * 0.5001;
      }
      ASSERT_NEAR(out[static_cast<size_t>(r * outputs + o)], exact, bound + 1e-5 * magnitude)
          << "row " << r << " output " << o;
    }
  }
}

TEST_P(EveryType, EveryInstructionSetEqualsTheScalarTwin) {
  for (const int64_t outputs : {1, 15, 16, 17, 50}) {
    for (const int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 32, 33, 64}) {
      const Problem p = make_problem(GetParam(), outputs, 256 + 256 * (rows % 3), rows, static_cast<unsigned>(rows));
      for (Isa isa : supported_isas()) {
        const auto expected = specified(p, isa, rows), out = multiply(p, isa, rows);
        for (size_t i = 0; i < out.size(); ++i)
          ASSERT_EQ(std::bit_cast<uint32_t>(out[i]), std::bit_cast<uint32_t>(expected[i]))
              << isa_name(isa) << ", " << outputs << " outputs, " << rows << " rows, at " << i << ": " << out[i]
              << " against " << expected[i];
      }
    }
  }
}

TEST_P(EveryType, ExtremeSumsEqualTheScalarTwin) {
  if (info_of(GetParam()).block_elements == 1) GTEST_SKIP() << "no integers";
  const Problem p = make_extreme_problem(GetParam(), 32, 512, 37);
  for (const int64_t rows : {1, 5, 37}) {
    const auto expected = multiply(p, Isa::kScalar, rows);
    for (Isa isa : supported_isas())
      ASSERT_EQ(multiply(p, isa, rows), expected) << isa_name(isa) << ", " << rows << " rows";
  }
}

// Several panels of rows, of which the last has any number, pass over blocks of several tiles.
TEST_P(EveryType, SeveralPanelsEqualTheScalarTwin) {
  for (const int64_t rows : {18, 24, 33, 34, 35, 36, 38, 40, 42, 48, 65}) {
    const Problem p = make_problem(GetParam(), 403, 256 + 256 * (rows % 2), rows, static_cast<unsigned>(rows));
    const bool has_own_twin = GetParam() == TensorType::kBF16;
    const auto expected = multiply(p, Isa::kScalar, rows);
    for (Isa isa : supported_isas())
      ASSERT_EQ(multiply(p, isa, rows), has_own_twin ? specified(p, isa, rows) : expected)
          << isa_name(isa) << ", " << rows << " rows";
  }
}

// It decides which kernel a row goes through, and each of them makes the same bits.
TEST_P(EveryType, TuningChangesNoBit) {
  for (const int64_t rows : {1, 2, 3, 4, 5, 7, 9, 12, 16, 21}) {
    const Problem p = make_problem(GetParam(), 17, 256, rows, static_cast<unsigned>(rows));
    for (Isa isa : supported_isas()) {
      if (isa == Isa::kScalar) continue;
      const auto expected = specified(p, isa, rows);
      for (const KernelTuning& tuning : all_tunings())
        ASSERT_EQ(multiply_tuned(p, isa, rows, tuning), expected)
            << isa_name(isa) << ", " << rows << " rows, nudged_rows=" << tuning.nudged_rows
            << ",keeps_lines=" << tuning.keeps_lines << ",many_rows_from=" << tuning.many_rows_from;
    }
  }
}

// What a row's result is does not depend on the rows beside it, nor on the number of threads.
TEST_P(EveryType, RowsAreIndependent) {
  const Problem p = make_problem(GetParam(), 70, 512, 40, 3);
  for (Isa isa : supported_isas()) {
    const auto together = multiply(p, isa, 40, 3);
    for (int64_t r = 0; r < 40; r += 7) {
      const auto alone = multiply(p, isa, 1, 1, nullptr, false, r);
      for (int64_t o = 0; o < 70; ++o)
        ASSERT_EQ(alone[static_cast<size_t>(o)], together[static_cast<size_t>(r * 70 + o)]) << isa_name(isa);
    }
  }
}

// A model that has come to NaN must not go on with plausible numbers.
TEST_P(EveryType, NanAndInfinityStayVisible) {
  const Problem p = make_problem(GetParam(), 33, 512, 7, 5);
  for (const float poison : {NAN, -NAN, INFINITY, -INFINITY}) {
    for (const size_t at : {0, 5, 16, 31, 300}) {
      Problem spoilt = p;
      spoilt.input[2 * 512 + at] = poison;
      for (Isa isa : supported_isas()) {
        const auto before = multiply(p, isa, 7), out = multiply(spoilt, isa, 7);
        for (size_t i = 0; i < out.size(); ++i) {
          if (i / 33 != 2) {
            ASSERT_EQ(out[i], before[i]) << isa_name(isa) << ", beside the spoilt row, at " << i;
          } else {
            ASSERT_FALSE(std::isfinite(out[i])) << isa_name(isa) << ", " << poison << " at " << at << ", output " << i;
          }
        }
      }
    }
  }
}

TEST(Matmul, FloatRowsNeedNotBeWholeGroups) {
  for (TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kBF16}) {
    const Problem p = make_problem(type, 20, 77, 6, 4);
    const auto expected = multiply(p, Isa::kScalar, 6);
    for (Isa isa : supported_isas()) EXPECT_EQ(multiply(p, isa, 6), specified(p, isa, 6)) << isa_name(isa);
    double exact = 0;
    for (size_t k = 0; k < 77; ++k) exact += static_cast<double>(p.weight[76 + 77 * 18 + 1 + k]) * p.input[77 * 5 + k];
    EXPECT_NEAR(expected[5 * 20 + 19], exact, 1e-4);
  }
}

// Rounding an activation to bf16 moves it by 2^-8 of itself at most, each of the additions by 2^-24 of what is summed.
TEST(Matmul, Bf16ProductsAreWithinTheirRounding) {
  const int64_t outputs = 19, inputs = 1537, rows = 11;
  const Problem p = make_problem(TensorType::kBF16, outputs, inputs, rows, 10);
  for (Isa isa : supported_isas()) {
    const double bound = isa == Isa::kAvx512Bf16 ? 0x1p-8 : 0;
    const auto out = multiply(p, isa, rows);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t o = 0; o < outputs; ++o) {
        double exact = 0, magnitude = 0;
        for (int64_t k = 0; k < inputs; ++k) {
          const double product = static_cast<double>(p.weight[static_cast<size_t>(o * inputs + k)]) *
                                 p.input[static_cast<size_t>(r * inputs + k)];
          exact += product;
          magnitude += std::abs(product);
        }
        ASSERT_NEAR(out[static_cast<size_t>(r * outputs + o)], exact,
                    magnitude * (bound + static_cast<double>(inputs) * 0x1p-24))
            << isa_name(isa) << ", row " << r << ", output " << o;
      }
  }
}

TEST(Matmul, Bf16TakesSubnormalsAsZero) {
  Problem p = make_problem(TensorType::kBF16, 16, 64, 3, 11);
  for (size_t i = 0; i < p.weight.size(); i += 3) {  // weights, activations and products beyond what is normal
    const float weight = i % 2 == 0 ? 0x1p-130f : 0x1p-100f;
    const uint16_t bits = f32_to_bf16(weight);
    std::memcpy(p.bytes.data() + 2 * i, &bits, 2);
    p.weight[i] = weight;
  }
  for (size_t i = 0; i < p.input.size(); i += 2) p.input[i] = i % 4 == 0 ? 0x1p-127f : 0x1p-40f;
  for (Isa isa : supported_isas())
    if (isa == Isa::kAvx512Bf16) EXPECT_EQ(multiply(p, isa, 3), specified(p, isa, 3));
}

TEST(Matmul, BiasAndResidual) {
  const Problem p = make_problem(TensorType::kQ4_0, 35, 64, 51, 5);
  std::vector<float> bias(35);
  for (size_t i = 0; i < bias.size(); ++i) bias[i] = static_cast<float>(i);
  for (Isa isa : supported_isas()) {
    const auto plain = multiply(p, isa, 51), biased = multiply(p, isa, 51, 1, bias.data()),
               added = multiply(p, isa, 51, 1, nullptr, true), both = multiply(p, isa, 51, 1, bias.data(), true);
    for (size_t i = 0; i < plain.size(); ++i) {
      ASSERT_EQ(biased[i], plain[i] + bias[i % 35]) << isa_name(isa);
      ASSERT_EQ(added[i], 1.0f + plain[i]) << isa_name(isa);
      ASSERT_EQ(both[i], 1.0f + (plain[i] + bias[i % 35])) << isa_name(isa);
    }
  }
}

// Of types that differ in what a tile takes, and one after the other by the same object, from few rows to many and
// back.
TEST(Matmul, SeveralMatricesInOnePass) {
  ThreadPool pool(3);
  const std::pair<TensorType, int64_t> kinds[] = {
      {TensorType::kQ6_K, 403}, {TensorType::kQ4_K, 7}, {TensorType::kQ2_K, 150}, {TensorType::kF16, 40}};
  for (Isa isa : supported_isas()) {
    Matmul matmul(isa, pool);
    Activations in;
    for (const int64_t rows : {2, 33, 70, 0, 1}) {
      std::vector<Problem> problems;
      std::vector<PackedMatrix> packed;
      std::vector<std::vector<float>> outs;
      std::vector<MatmulOutput> outputs;
      for (const auto& [type, num_outputs] : kinds) {
        problems.push_back(make_problem(type, num_outputs, 256, rows, static_cast<unsigned>(num_outputs)));
        problems.back().input = problems.front().input;
        packed.push_back(PackedMatrix::pack(problems.back().tensor, pool).value());
        outs.emplace_back(static_cast<size_t>(rows * num_outputs));
      }
      for (size_t i = 0; i < outs.size(); ++i)
        outputs.push_back({&packed[i], nullptr, outs[i].data(), packed[i].num_outputs()});
      in.resize(rows, 256);
      std::ranges::copy(problems.front().input, in.row(0));
      matmul.run(in, outputs);
      for (size_t i = 0; i < outs.size(); ++i)
        EXPECT_EQ(outs[i], specified(problems[i], isa, rows)) << isa_name(isa) << ", " << rows << " rows, matrix " << i;
    }
  }
}

TEST(Matmul, PartOfAChunkInSeveralPanels) {
  for (TensorType type : {TensorType::kQ4_0, TensorType::kQ5_1, TensorType::kQ8_0})
    for (const int64_t inputs : {32, 96, 160}) {
      const Problem p = make_problem(type, 50, inputs, 53, 12);
      for (Isa isa : supported_isas()) EXPECT_EQ(multiply(p, isa, 53), specified(p, isa, 53)) << isa_name(isa);
    }
}

TEST(Matmul, ZerosAndTinyValuesAreZero) {
  Problem p = make_problem(TensorType::kQ8_0, 16, 64, 2, 8);
  for (size_t i = 0; i < p.input.size(); ++i) p.input[i] = i < 64 ? 0.0f : 1e-38f;
  for (Isa isa : supported_isas())
    for (float value : multiply(p, isa, 2)) EXPECT_EQ(value, 0.0f) << isa_name(isa);
}

TEST(PackedMatrix, RefusesWhatIsNotAMatrixOfWholeBlocks) {
  ThreadPool pool(1);
  std::vector<std::byte> bytes(144 * 2);
  const auto flat = PackedMatrix::pack({"blk.0.x", TensorType::kQ4_K, {512}, bytes}, pool);
  ASSERT_FALSE(flat);
  EXPECT_NE(flat.error().message.find("blk.0.x: expected 2 dimensions, it has 1"), std::string::npos);
  const auto odd = PackedMatrix::pack({"blk.0.x", TensorType::kQ4_K, {4, 128}, bytes}, pool);
  ASSERT_FALSE(odd);
  EXPECT_NE(odd.error().message.find("whole Q4_K blocks (256 weights), a row has 128"), std::string::npos);
}

}  // namespace
}  // namespace retort
