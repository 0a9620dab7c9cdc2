// The engine's compute threads. One thread at a time drives the pool; the
// caller works too, as thread 0. Workers spin briefly after a job, then sleep,
// so an idle server uses no CPU. A job ends when its items are done, not when
// every worker has looked in: where other programs hold the CPUs, a worker that
// got none keeps nobody waiting.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace retort {

class ThreadPool {
 public:
  explicit ThreadPool(int num_threads);  // throws std::system_error where the machine gives no more threads
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int num_threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(begin, end, thread_idx) over pieces of [0, num_items) and returns when all are done. Each thread starts
  // with its own contiguous share, taken `grain` items at a time, and then takes what is left of the others'. Which
  // thread does an item must not change its result. body must not throw and must not call the pool.
  template <class Body>
  void parallel_for(size_t num_items, size_t grain, Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    run(num_items, grain, const_cast<void*>(static_cast<const void*>(&body)),
        [](void* self, size_t begin, size_t end, int thread_idx) {
          (*static_cast<Plain*>(self))(begin, end, thread_idx);
        });
  }

 private:
  using Call = void (*)(void* body, size_t begin, size_t end, int thread_idx);
  struct Share;  // one thread's part of the items

  void run(size_t num_items, size_t grain, void* body, Call call);
  void work(int thread_idx);
  size_t work_on(Share& share, int thread_idx);
  void worker_main(int thread_idx);
  void stop();
  void wait_for_the_rest();

  std::vector<std::thread> workers_;
  std::unique_ptr<Share[]> shares_;  // [num_threads]
  // The job's own; read only between taking a piece of it and counting that piece as done.
  void* body_ = nullptr;
  Call call_ = nullptr;
  size_t num_items_ = 0;
  size_t grain_ = 1;
  alignas(64) std::atomic<uint32_t> job_{0};       // number of the job; a change wakes the workers
  alignas(64) std::atomic<uint32_t> num_left_{0};  // pieces of the job not done yet
  std::atomic<bool> stopping_{false};
};

}  // namespace retort
