#include "base/thread_pool.h"

#include <algorithm>
#include <cstdint>

#include "base/thread_name.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace retort {
namespace {

// About 50 µs: longer than the gap between two operations of a step, shorter than anyone would call busy.
constexpr int kSpins = 2000;

inline void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("isb");
#endif
}

}  // namespace

struct alignas(64) ThreadPool::Share {
  std::atomic<size_t> next{0};
  size_t end = 0;
};

ThreadPool::ThreadPool(int num_threads) : shares_(new Share[static_cast<size_t>(std::max(1, num_threads))]) {
  for (int i = 1; i < num_threads; ++i)
    workers_.emplace_back([this, i] {
      name_this_thread("compute");
      worker_main(i);
    });
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    job_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  for (auto& worker : workers_) worker.join();
}

void ThreadPool::run(size_t num_items, size_t grain, void* body, Call call) {
  if (num_items == 0) return;
  if (workers_.empty() || num_items <= grain) {
    call(body, 0, num_items, 0);
    return;
  }
  body_ = body;
  call_ = call;
  grain_ = std::max<size_t>(1, grain);
  const size_t threads = static_cast<size_t>(num_threads());
  const size_t num_grains = (num_items + grain_ - 1) / grain_;
  for (size_t i = 0; i < threads; ++i) {
    shares_[i].next.store(std::min(num_items, num_grains * i / threads * grain_), std::memory_order_relaxed);
    shares_[i].end = std::min(num_items, num_grains * (i + 1) / threads * grain_);
  }
  num_running_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
  // Sequentially consistent against a worker that announces its sleep and then looks at job_ once more.
  job_.fetch_add(1, std::memory_order_seq_cst);
  if (num_sleeping_.load(std::memory_order_seq_cst) > 0) {
    std::lock_guard lock(mutex_);
    wake_.notify_all();
  }
  work(0);
  // A worker may have lost its CPU to another process: after a while let it have ours.
  for (int spins = 0; num_running_.load(std::memory_order_acquire) > 0; ++spins) {
    if (spins < kSpins)
      relax();
    else
      std::this_thread::yield();
  }
}

void ThreadPool::work(int thread_idx) {
  const int threads = num_threads();
  for (int i = 0; i < threads; ++i) {
    Share& share = shares_[(thread_idx + i) % threads];
    while (true) {
      const size_t begin = share.next.fetch_add(grain_, std::memory_order_relaxed);
      if (begin >= share.end) break;
      call_(body_, begin, std::min(begin + grain_, share.end), thread_idx);
    }
  }
}

void ThreadPool::worker_main(int thread_idx) {
  uint64_t seen = 0;
  while (true) {
    int spins = 0;
    while (job_.load(std::memory_order_acquire) == seen && spins < kSpins) {
      relax();
      ++spins;
    }
    if (job_.load(std::memory_order_acquire) == seen) {
      std::unique_lock lock(mutex_);
      num_sleeping_.fetch_add(1, std::memory_order_seq_cst);
      wake_.wait(lock, [&] { return job_.load(std::memory_order_seq_cst) != seen; });
      num_sleeping_.fetch_sub(1, std::memory_order_relaxed);
    }
    seen = job_.load(std::memory_order_acquire);
    if (stopping_) return;
    work(thread_idx);
    num_running_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace retort
