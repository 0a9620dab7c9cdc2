// A matrix and activations to multiply it with, for tests of what does.
#pragma once

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "kernels/matmul.h"

namespace retort {

// Random blocks of a type: random bytes, or in each block one of `fills` throughout, but every half-precision field a
// sane scale.
std::vector<std::byte> random_blocks(TensorType type, size_t num_blocks, std::mt19937& rng,
                                     const std::vector<int>& fills = {});

struct Problem {
  std::vector<std::byte> bytes;
  TensorView tensor;
  std::vector<float> input;   // [rows, inputs]
  std::vector<float> weight;  // dequantised [outputs, inputs]
};

Problem make_problem(TensorType type, int64_t outputs, int64_t inputs, int64_t rows, unsigned seed);

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
