#include "kernels/peak.h"

#include <algorithm>
#include <atomic>
#include <chrono>

#include "kernels/peak_loop.h"

namespace retort {
namespace {

const PeakLoop& peak_loop(Isa isa) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::kAvx2:
      return kAvx2PeakLoop;
    case Isa::kAvxVnni:
      return kAvxVnniPeakLoop;
    case Isa::kAvx512Vnni:
    case Isa::kAvx512Bf16:
      return kAvx512VnniPeakLoop;
    case Isa::kAmx:
      return kAmxPeakLoop;
#elif defined(__aarch64__)
    case Isa::kNeonDotprod:
      return kNeonDotprodPeakLoop;
    case Isa::kNeonI8mm:
      return kNeonI8mmPeakLoop;
#endif
    default:
      return kScalarPeakLoop;
  }
}

}  // namespace

double measure_int8_gops(Isa isa, ThreadPool& pool) {
  const PeakLoop& loop = peak_loop(isa);
  const auto threads = static_cast<size_t>(pool.num_threads());
  const auto seconds = [&](int64_t rounds) {
    std::atomic<int32_t> sink = 0;  // what the loops come to is used, so they are run
    const auto start = std::chrono::steady_clock::now();
    pool.parallel_for(threads, 1, [&](size_t begin, size_t end, int) {
      for (size_t i = begin; i < end; ++i) sink.fetch_xor(loop.run(rounds), std::memory_order_relaxed);
    });
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  int64_t rounds = 1000;
  while (seconds(rounds) < 0.01) rounds *= 2;
  double best = seconds(rounds);
  for (int i = 0; i < 4; ++i) best = std::min(best, seconds(rounds));
  return static_cast<double>(loop.ops_per_round) * static_cast<double>(rounds) * static_cast<double>(threads) / best /
         1e9;
}

}  // namespace retort
