// Attention of the R1-Distill-Qwen-1.5B shape to bf16 and int8 keys and values: chunks of a long prompt (bound by
// arithmetic) and single rows after a long context (bound by bandwidth). RETORT_ISA chooses the kernels.
//   build/release/bench/bench_attention --benchmark_filter=bf16
#include "kernels/attention.h"

#include <benchmark/benchmark.h>

#include <numeric>

#include "base/cpu.h"

namespace retort {
namespace {

constexpr int kHeads = 12, kKvHeads = 2, kHeadDim = 128;
constexpr int64_t kStride = kKvHeads * kHeadDim;

ThreadPool& pool() {
  static ThreadPool pool(default_num_threads());
  return pool;
}

std::vector<float> wave(int64_t size) {
  std::vector<float> out(static_cast<size_t>(size));
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(i * 7919 % 257) / 128 - 1;
  return out;
}

// The last `rows` of `length` tokens, in as many layers as no cache holds.
void attend(benchmark::State& state, KvType type, int64_t rows, int64_t length) {
  const size_t num_blocks = static_cast<size_t>((length + kBlockTokens - 1) / kBlockTokens);
  const size_t block_bytes = kv_block_bytes(type, kKvHeads, kHeadDim);
  const size_t num_layers = 1 + (size_t{96} << 20) / (num_blocks * block_bytes);
  std::vector<std::byte> bytes(num_layers * num_blocks * block_bytes);
  std::vector<int32_t> table(num_blocks);
  std::iota(table.begin(), table.end(), 0);
  Attention attention(select_isa().value(), pool());
  const std::vector<float> q = wave(rows * kHeads * kHeadDim), k = wave(length * kStride);
  std::vector<KvLayerView> layers;
  for (size_t i = 0; i < num_layers; ++i) {
    layers.push_back({bytes.data() + i * num_blocks * block_bytes, block_bytes, type, kKvHeads, kHeadDim});
    const AttentionSequence all{0, length, 0, table};
    attention.store(k.data(), k.data(), {&all, 1}, layers.back());
  }
  const AttentionSequence last{0, rows, length - rows, table};
  std::vector<float> out(q.size());
  size_t layer = 0;
  for (auto _ : state) {
    attention.run(q.data(), kHeads, {&last, 1}, layers[layer], out.data());
    layer = (layer + 1) % num_layers;
  }
  const auto iterations = static_cast<double>(state.iterations());
  const double seen = static_cast<double>(rows) * (static_cast<double>(length) - static_cast<double>(rows - 1) / 2);
  state.counters["GOP/s"] =
      benchmark::Counter(iterations * 4 * seen * kHeads * kHeadDim / 1e9, benchmark::Counter::kIsRate);
  state.counters["GB/s"] =
      benchmark::Counter(iterations * static_cast<double>(num_blocks * block_bytes) / 1e9, benchmark::Counter::kIsRate);
}

void register_all() {
  for (const auto& [name, type] : {std::pair{"bf16", KvType::kBF16}, std::pair{"int8", KvType::kInt8}})
    for (const auto& [rows, length] :
         {std::pair<int64_t, int64_t>{512, 512}, {512, 2048}, {512, 8192}, {1, 512}, {1, 8192}})
      benchmark::RegisterBenchmark(
          (std::string(name) + "/rows:" + std::to_string(rows) + "/tokens:" + std::to_string(length)).c_str(),
          [=](benchmark::State& state) { attend(state, type, rows, length); })
          ->UseRealTime()
          ->Unit(benchmark::kMicrosecond);
}

}  // namespace
}  // namespace retort

int main(int argc, char** argv) {
  retort::register_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
