#include "kernels/elementwise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "base/cpu.h"

namespace retort {
namespace {

std::vector<float> random_floats(size_t size, uint32_t seed, float spread = 1.0f) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, spread);
  std::vector<float> values(size);
  for (float& value : values) value = normal(generator);
  return values;
}

// Odd sizes too: every vector width has a tail.
constexpr int64_t kSizes[] = {1, 3, 8, 17, 64, 100, 576, 1536};
constexpr int64_t kHeadDims[] = {8, 16, 24, 64, 80, 96, 128};

class Elementwise : public testing::TestWithParam<Isa> {
 protected:
  const ElementwiseKernels& kernels = elementwise_kernels(GetParam());
};

void expect_near(const std::vector<float>& actual, const std::vector<double>& expected, double relative) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i)
    ASSERT_NEAR(actual[i], expected[i], relative * std::max(std::abs(expected[i]), 1e-6)) << "element " << i;
}

TEST_P(Elementwise, RmsNorm) {
  for (int64_t size : kSizes) {
    const auto n = static_cast<size_t>(size);
    const auto x = random_floats(n, 1), weight = random_floats(n, 2);
    double squares = 0;
    for (float value : x) squares += static_cast<double>(value) * value;
    std::vector<double> expected(n);
    for (size_t i = 0; i < n; ++i)
      expected[i] = x[i] / std::sqrt(squares / static_cast<double>(size) + 1e-6) * weight[i];
    std::vector<float> out(n);
    kernels.rms_norm(x.data(), weight.data(), 1e-6f, size, out.data());
    expect_near(out, expected, 5e-7);
    out = x;
    kernels.rms_norm(out.data(), weight.data(), 1e-6f, size, out.data());
    expect_near(out, expected, 5e-7);
  }
}

TEST_P(Elementwise, RmsNormOfZerosIsZero) {
  const std::vector<float> x(40, 0.0f), weight(40, 2.0f);
  std::vector<float> out(40, 1.0f);
  kernels.rms_norm(x.data(), weight.data(), 1e-6f, 40, out.data());
  EXPECT_EQ(out, x);
}

TEST_P(Elementwise, Rope) {
  for (int64_t head_dim : kHeadDims) {
    const auto n = static_cast<size_t>(head_dim), half = n / 2;
    const auto head = random_floats(n, 3);
    std::vector<float> cos(half), sin(half);
    for (size_t i = 0; i < half; ++i) {
      cos[i] = std::cos(0.37f * static_cast<float>(i + 1));
      sin[i] = std::sin(0.37f * static_cast<float>(i + 1));
    }
    auto neox = head, interleaved = head;
    kernels.rope_neox(neox.data(), cos.data(), sin.data(), head_dim);
    kernels.rope_interleaved(interleaved.data(), cos.data(), sin.data(), head_dim);
    const auto expect_pair = [&](const std::vector<float>& out, size_t a, size_t b, size_t i) {
      const double x = head[a], y = head[b], c = cos[i], s = sin[i];
      const double bound = 2e-7 * (std::abs(x) + std::abs(y));
      ASSERT_NEAR(out[a], x * c - y * s, bound) << "head_dim " << head_dim << ", pair " << i;
      ASSERT_NEAR(out[b], x * s + y * c, bound) << "head_dim " << head_dim << ", pair " << i;
    };
    for (size_t i = 0; i < half; ++i) {
      expect_pair(neox, i, i + half, i);
      expect_pair(interleaved, 2 * i, 2 * i + 1, i);
    }
  }
}

TEST_P(Elementwise, SiluMul) {
  for (int64_t size : kSizes) {
    const auto n = static_cast<size_t>(size);
    const auto gate = random_floats(n, 4, 5.0f), up = random_floats(n, 5);
    std::vector<double> expected(n);
    for (size_t i = 0; i < n; ++i) expected[i] = gate[i] / (1.0 + std::exp(-static_cast<double>(gate[i]))) * up[i];
    std::vector<float> out(n);
    kernels.silu_mul(gate.data(), up.data(), size, out.data());
    expect_near(out, expected, 5e-7);
    out = gate;
    kernels.silu_mul(out.data(), up.data(), size, out.data());
    expect_near(out, expected, 5e-7);
  }
}

TEST_P(Elementwise, SiluMulAtTheEdges) {
  const std::vector<float> gate = {0.0f,  -0.0f,  200.0f, -200.0f, 88.5f, -88.5f,
                                   87.2f, -87.2f, 1e30f,  -1e30f,  NAN,   INFINITY};
  const std::vector<float> up(gate.size(), 1.0f);
  std::vector<float> out(gate.size());
  kernels.silu_mul(gate.data(), up.data(), static_cast<int64_t>(gate.size()), out.data());
  EXPECT_EQ(out[0], 0.0f);
  EXPECT_EQ(out[1], 0.0f);
  for (size_t i : {2u, 4u, 6u, 8u}) EXPECT_EQ(out[i], gate[i]);
  for (size_t i : {3u, 5u, 7u}) EXPECT_NEAR(out[i], 0.0f, 1e-35f);
  EXPECT_LE(out[9], 0.0f);
  EXPECT_TRUE(std::isnan(out[10])) << "a NaN must stay visible";
  EXPECT_EQ(out[11], INFINITY);
}

INSTANTIATE_TEST_SUITE_P(Isas, Elementwise, testing::ValuesIn(supported_isas()), [](const auto& entry) {
  std::string name(isa_name(entry.param));
  std::erase(name, '-');
  return name;
});

}  // namespace
}  // namespace retort
