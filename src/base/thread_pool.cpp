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

// A thread's pieces, [next, end), in one word: who takes `next` by compare-and-swap holds a piece of the job whose word
// it was, and that job cannot end before the piece is counted as done. So a worker of any lateness takes pieces of the
// present job or none.
struct alignas(64) ThreadPool::Share {
  std::atomic<uint64_t> pieces{0};

  static uint64_t word(uint64_t next, uint64_t end) { return next << 32 | end; }
  static uint32_t next(uint64_t word) { return static_cast<uint32_t>(word >> 32); }
  static uint32_t end(uint64_t word) { return static_cast<uint32_t>(word); }
};

ThreadPool::ThreadPool(int num_threads) : shares_(new Share[static_cast<size_t>(std::max(1, num_threads))]) {
  try {
    for (int i = 1; i < num_threads; ++i)
      workers_.emplace_back([this, i] {
        name_this_thread("compute");
        worker_main(i);
      });
  } catch (...) {
    stop();
    throw;
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  stopping_.store(true, std::memory_order_relaxed);
  job_.fetch_add(1, std::memory_order_seq_cst);
  job_.notify_all();
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
  num_items_ = num_items;
  grain_ = std::max<size_t>(1, grain);
  const size_t threads = static_cast<size_t>(num_threads());
  const size_t num_pieces = (num_items + grain_ - 1) / grain_;
  num_left_.store(static_cast<uint32_t>(num_pieces), std::memory_order_relaxed);
  for (size_t i = 0; i < threads; ++i)
    shares_[i].pieces.store(Share::word(num_pieces * i / threads, num_pieces * (i + 1) / threads),
                            std::memory_order_release);
  job_.fetch_add(1, std::memory_order_seq_cst);
  job_.notify_all();
  work(0);
  wait_for_the_rest();
}

void ThreadPool::work(int thread_idx) {
  const int threads = num_threads();
  for (int i = 0; i < threads; ++i) {
    const size_t num_done = work_on(shares_[(thread_idx + i) % threads], thread_idx);
    if (num_done == 0) continue;
    if (num_left_.fetch_sub(static_cast<uint32_t>(num_done), std::memory_order_seq_cst) == num_done)
      num_left_.notify_one();
  }
}

size_t ThreadPool::work_on(Share& share, int thread_idx) {
  size_t num_done = 0;
  uint64_t pieces = share.pieces.load(std::memory_order_relaxed);
  while (Share::next(pieces) < Share::end(pieces)) {
    const size_t piece = Share::next(pieces);
    if (!share.pieces.compare_exchange_weak(pieces, Share::word(piece + 1, Share::end(pieces)),
                                            std::memory_order_acquire, std::memory_order_relaxed))
      continue;
    const size_t begin = piece * grain_;
    call_(body_, begin, std::min(begin + grain_, num_items_), thread_idx);
    ++num_done;
    pieces = share.pieces.load(std::memory_order_relaxed);
  }
  return num_done;
}

// Whoever still holds a piece may have lost its CPU to another program: after a while let it have ours.
void ThreadPool::wait_for_the_rest() {
  for (int spins = 0; spins < kSpins; ++spins) {
    if (num_left_.load(std::memory_order_acquire) == 0) return;
    relax();
  }
  while (const uint32_t left = num_left_.load(std::memory_order_acquire))
    num_left_.wait(left, std::memory_order_acquire);
}

void ThreadPool::worker_main(int thread_idx) {
  uint32_t seen = 0;
  while (true) {
    for (int spins = 0; spins < kSpins && job_.load(std::memory_order_acquire) == seen; ++spins) relax();
    job_.wait(seen, std::memory_order_acquire);
    seen = job_.load(std::memory_order_acquire);
    if (stopping_.load(std::memory_order_relaxed)) return;
    work(thread_idx);
  }
}

}  // namespace retort
