// Matmul on weights of the R1-Distill-Qwen-1.5B shape, type by type and by number of rows: what a kernel reaches of the
// machine's bandwidth (few rows) and arithmetic (many). Weights are random bytes.
//   build/release/bench/bench_matmul --benchmark_filter=Q4_K
#include "kernels/matmul.h"

#include <benchmark/benchmark.h>

#include <random>

#include "base/cpu.h"
#include "formats/tensor_type.h"

namespace retort {
namespace {

constexpr int64_t kHidden = 1536, kFfn = 8960;
constexpr TensorType kTypes[] = {TensorType::kQ4_0, TensorType::kQ8_0, TensorType::kQ4_K,
                                 TensorType::kQ5_K, TensorType::kQ6_K, TensorType::kBF16};

ThreadPool& pool() {
  static ThreadPool pool(default_num_threads());
  return pool;
}

PackedMatrix random_matrix(TensorType type, int64_t num_outputs, int64_t num_inputs, uint32_t seed) {
  const auto& info = info_of(type);
  std::vector<std::byte> bytes(static_cast<size_t>(num_outputs * num_inputs) / info.block_elements * info.block_bytes);
  std::mt19937 generator(seed);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(generator() & 0x3f);  // no NaN among the scales
  TensorView view;
  view.name = "random";
  view.type = type;
  view.shape = {static_cast<uint64_t>(num_outputs), static_cast<uint64_t>(num_inputs)};
  view.data = bytes;
  return PackedMatrix::pack(view, pool()).value();
}

// As many gate-like matrices as no cache holds, all read once an iteration, as in a step.
void matmul(benchmark::State& state, TensorType type, int64_t num_outputs, int64_t num_inputs, int num_matrices) {
  const int64_t num_rows = state.range(0);
  std::vector<PackedMatrix> matrices;
  for (int i = 0; i < num_matrices; ++i)
    matrices.push_back(random_matrix(type, num_outputs, num_inputs, static_cast<uint32_t>(i)));
  Matmul matmul(select_isa().value(), pool());
  Activations in;
  in.resize(num_rows, num_inputs);
  for (int64_t row = 0; row < num_rows; ++row)
    for (int64_t k = 0; k < num_inputs; ++k) in.row(row)[k] = static_cast<float>((row + k) % 17) - 8;
  std::vector<float> out(static_cast<size_t>(num_rows * num_outputs));
  size_t bytes = 0;
  for (const auto& matrix : matrices) bytes += matrix.num_bytes();
  for (auto _ : state)
    for (const auto& matrix : matrices) matmul.run(in, {{&matrix, nullptr, out.data(), num_outputs}});
  const auto iterations = static_cast<double>(state.iterations());
  const double ops = 2.0 * static_cast<double>(num_rows * num_outputs * num_inputs) * num_matrices;
  state.counters["GB/s"] =
      benchmark::Counter(iterations * static_cast<double>(bytes) / 1e9, benchmark::Counter::kIsRate);
  state.counters["GOP/s"] = benchmark::Counter(iterations * ops / 1e9, benchmark::Counter::kIsRate);
}

void register_all() {
  for (const TensorType type : kTypes) {
    const std::string name(info_of(type).name);
    const auto add = [&](const std::string& what, int64_t outputs, int64_t inputs, int num_matrices) {
      auto* entry = benchmark::RegisterBenchmark((what + "/" + name).c_str(), [=](benchmark::State& state) {
        matmul(state, type, outputs, inputs, num_matrices);
      });
      entry->ArgName("rows")->UseRealTime()->Unit(benchmark::kMillisecond);
      for (const int64_t rows : {1, 2, 4, 8, 16, 32, 512}) entry->Arg(rows);
    };
    add("gate", kFfn, kHidden, 24);
    add("down", kHidden, kFfn, 24);
    add("cached", 256, kHidden, 1);  // weights stay in the second-level cache: the arithmetic alone
  }
}

}  // namespace
}  // namespace retort

int main(int argc, char** argv) {
  retort::register_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
