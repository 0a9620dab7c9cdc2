// A matrix and activations to multiply it with, for tests of what does.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "kernels/matmul.h"

namespace retort {

std::vector<TensorType> every_type();
std::string name_of_type(const testing::TestParamInfo<TensorType>& info);

struct Problem {
  std::vector<std::byte> bytes;
  TensorView tensor;
  std::vector<float> input;   // [rows, inputs]
  std::vector<float> weight;  // dequantised [outputs, inputs]
};

// Random weights, and normal activations of which some are far out.
Problem make_problem(TensorType type, int64_t outputs, int64_t inputs, int64_t rows, unsigned seed);
// Quants all of their highest or lowest value, times activations that all are: what integer sums of few bits must hold.
Problem make_extreme_problem(TensorType type, int64_t outputs, int64_t inputs, int64_t rows);

// Kernels: an Isa or TileKernels.
template <class Kernels>
std::vector<float> multiply(const Problem& p, const Kernels& kernels, int64_t rows, int threads = 2,
                            const float* bias = nullptr, bool accumulate = false, int64_t first_row = 0,
                            const KernelTuning* tuning = nullptr) {
  ThreadPool pool(threads);
  const auto packed = PackedMatrix::pack(p.tensor, pool).value();
  Matmul matmul(kernels, pool);
  if (tuning != nullptr) matmul.set_tuning(*tuning);
  Activations in;
  in.resize(rows, packed.num_inputs());
  std::copy_n(p.input.begin() + first_row * packed.num_inputs(), rows * packed.num_inputs(), in.row(0));
  std::vector<float> out(static_cast<size_t>(rows * packed.num_outputs()), accumulate ? 1.0f : NAN);
  matmul.run(in, {{&packed, bias, out.data(), packed.num_outputs(), accumulate}});
  return out;
}

}  // namespace retort
