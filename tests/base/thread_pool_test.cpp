#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <vector>

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

}  // namespace
}  // namespace retort
