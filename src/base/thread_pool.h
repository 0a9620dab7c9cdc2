// The engine's compute threads. One thread at a time drives the pool; the
// caller works too, as thread 0. Workers spin briefly after a job, then sleep,
// so an idle server uses no CPU.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace retort {

class ThreadPool {
 public:
  explicit ThreadPool(int num_threads);
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
  void worker_main(int thread_idx);

  std::vector<std::thread> workers_;
  std::unique_ptr<Share[]> shares_;  // [num_threads]
  void* body_ = nullptr;
  Call call_ = nullptr;
  size_t grain_ = 1;
  alignas(64) std::atomic<uint64_t> job_{0};     // number of the job; a change wakes the workers
  alignas(64) std::atomic<int> num_running_{0};  // workers that have not finished the job
  alignas(64) std::atomic<int> num_sleeping_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
};

}  // namespace retort
