#include "cli/measure/bandwidth.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/memory.h"
#include "base/result.h"

namespace retort {
namespace {

constexpr size_t kMaxBytes = 512u << 20;
constexpr size_t kItemBytes = 1u << 20;  // what a thread takes at a time
constexpr size_t kNumStreams = 4;        // one stream a thread does not fill the memory's queues
constexpr size_t kLine = 64, kPrefetchBytes = 1024;
constexpr size_t kHugePage = 2u << 20;
constexpr int kNumPasses = 8;

uint64_t sum_of_line(const std::byte* line) {
  uint64_t words[kLine / sizeof(uint64_t)];
  std::memcpy(words, line, kLine);
  uint64_t sum = 0;
  for (const uint64_t word : words) sum += word;
  return sum;
}

// Reads kItemBytes in kNumStreams interleaved streams.
uint64_t read_item(const std::byte* item) {
  constexpr size_t kStreamBytes = kItemBytes / kNumStreams;
  uint64_t sums[kNumStreams] = {};
  for (size_t offset = 0; offset < kStreamBytes; offset += kLine) {
    for (size_t stream = 0; stream < kNumStreams; ++stream) {
      const std::byte* line = item + stream * kStreamBytes + offset;
      __builtin_prefetch(line + kPrefetchBytes);
      sums[stream] += sum_of_line(line);
    }
  }
  return sums[0] + sums[1] + sums[2] + sums[3];
}

}  // namespace

double measure_read_gbps(ThreadPool& pool) {
  const size_t num_items =
      std::max<size_t>(16, std::min<size_t>(kMaxBytes, memory_of_process().available / 4) / kItemBytes);
  // On huge pages where they are to be had, as the weights are.
  const size_t size = (num_items * kItemBytes + kPrefetchBytes + kHugePage - 1) / kHugePage * kHugePage;
  const std::unique_ptr<std::byte, void (*)(void*)> buffer(static_cast<std::byte*>(std::aligned_alloc(kHugePage, size)),
                                                           std::free);
  RETORT_CHECK(buffer != nullptr);
  ::madvise(buffer.get(), size, MADV_HUGEPAGE);
  // Written by the threads that will read it, so that each page lies near its reader.
  pool.parallel_for(num_items, 1, [&](size_t begin, size_t end, int) {
    std::memset(buffer.get() + begin * kItemBytes, 1, (end - begin) * kItemBytes);
  });

  std::atomic<uint64_t> sink{0};
  double best = 0;
  for (int pass = 0; pass < kNumPasses; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    pool.parallel_for(num_items, 1, [&](size_t begin, size_t end, int) {
      uint64_t sum = 0;
      for (size_t i = begin; i < end; ++i) sum += read_item(buffer.get() + i * kItemBytes);
      sink.fetch_add(sum, std::memory_order_relaxed);
    });
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, static_cast<double>(num_items * kItemBytes) / seconds / 1e9);
  }
  // Every byte is 1: what was summed proves that all of it was read.
  RETORT_CHECK(sink.load() == 0x0101010101010101u * (kItemBytes / sizeof(uint64_t)) * num_items * kNumPasses);
  return best;
}

}  // namespace retort
