#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <numeric>
#include <system_error>
#include <thread>
#include <vector>

#include "sanitized.h"

namespace retort {
namespace {

TEST(ThreadPool, EveryItemIsDoneOnce) {
  for (int threads : {1, 2, 3, 5}) {
    ThreadPool pool(threads);
    for (size_t items : {0u, 1u, 2u, 7u, 64u, 1000u}) {
      for (size_t grain : {1u, 3u, 64u, 5000u}) {
        std::vector<std::atomic<int>> done(items);
        pool.parallel_for(items, grain, [&](size_t begin, size_t end, int thread_idx) {
          ASSERT_LT(thread_idx, threads);
          ASSERT_LE(end, items);
          for (size_t i = begin; i < end; ++i) done[i].fetch_add(1);
        });
        for (size_t i = 0; i < items; ++i)
          ASSERT_EQ(done[i].load(), 1) << items << " items, grain " << grain << ", item " << i;
      }
    }
  }
}

TEST(ThreadPool, ResultsAreVisibleToTheCaller) {
  ThreadPool pool(4);
  std::vector<int> values(10000);
  for (int round = 0; round < 200; ++round) {
    pool.parallel_for(values.size(), 16, [&](size_t begin, size_t end, int) {
      for (size_t i = begin; i < end; ++i) values[i] = round;
    });
    ASSERT_EQ(std::accumulate(values.begin(), values.end(), 0L), 10000L * round);
  }
}

TEST(ThreadPool, WakesAfterSleep) {
  ThreadPool pool(3);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::atomic<int> sum{0};
    pool.parallel_for(100, 1, [&](size_t begin, size_t end, int) { sum += static_cast<int>(end - begin); });
    EXPECT_EQ(sum.load(), 100);
  }
}

TEST(ThreadPool, WorkersOfAnyLatenessTakePartInTheJobThatIs) {
  ThreadPool pool(4);
  for (int round = 0; round < 20000; ++round) {
    const size_t items = 1 + static_cast<size_t>(round % 9);  // so short that workers come when it is over
    std::vector<std::atomic<int>> done(items);
    pool.parallel_for(items, 1, [&](size_t begin, size_t end, int) {
      for (size_t i = begin; i < end; ++i) done[i].fetch_add(1);
    });
    for (size_t i = 0; i < items; ++i) ASSERT_EQ(done[i].load(), 1) << "round " << round << ", item " << i;
  }
}

#if !defined(RETORT_SANITIZED)

std::atomic<bool> held{false};
std::atomic<bool> release{false};

void hold_this_thread(int) {
  held = true;
  while (!release) {
  }
}

pthread_t worker_of(ThreadPool& pool) {
  pthread_t worker{};
  std::atomic<bool> seen{false};
  pool.parallel_for(2, 1, [&](size_t, size_t, int thread_idx) {
    if (thread_idx == 1) {
      worker = pthread_self();
      seen = true;
    }
    while (!seen) std::this_thread::yield();
  });
  return worker;
}

TEST(ThreadPool, AWorkerThatGetsNoCpuKeepsNobodyWaiting) {
  ThreadPool pool(2);
  const pthread_t worker = worker_of(pool);
  struct sigaction action{}, before{};
  action.sa_handler = hold_this_thread;
  ASSERT_EQ(sigaction(SIGUSR1, &action, &before), 0);
  ASSERT_EQ(pthread_kill(worker, SIGUSR1), 0);
  while (!held) std::this_thread::yield();

  int sum = 0;  // only this thread can be at work
  for (int round = 0; round < 100; ++round)
    pool.parallel_for(10, 1, [&](size_t begin, size_t end, int thread_idx) {
      ASSERT_EQ(thread_idx, 0);
      sum += static_cast<int>(end - begin);
    });
  EXPECT_EQ(sum, 1000);

  release = true;
  EXPECT_EQ(worker_of(pool), worker) << "it takes part again";
  sigaction(SIGUSR1, &before, nullptr);
}

TEST(ThreadPool, EndsTheThreadsItHasWhereTheMachineGivesNoMore) {
  pthread_attr_t before, huge;
  ASSERT_EQ(pthread_getattr_default_np(&before), 0);
  pthread_attr_init(&huge);
  pthread_attr_setstacksize(&huge, size_t{1} << 45);  // of which an address space of 2^47 holds three
  ASSERT_EQ(pthread_setattr_default_np(&huge), 0);
  EXPECT_THROW(ThreadPool(8), std::system_error);
  pthread_setattr_default_np(&before);
}

#endif  // RETORT_SANITIZED

}  // namespace
}  // namespace retort
