#include "engine/constraint_workers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

namespace retort {
namespace {

using ::testing::ElementsAre;

constexpr double kQuick = 0.001, kSlow = 1;

TEST(ConstraintWorkers, WhatIsSlowLeavesAThreadToWhatIsQuick) {
  std::atomic<int> num_done{0};
  std::promise<void> release;
  const std::shared_future<void> released = release.get_future().share();
  {
    ConstraintWorkers workers([&] { ++num_done; });
    for (int i = 0; i < 9; ++i) workers.run(kSlow, [released] { released.wait(); });
    for (int i = 0; i < 3; ++i) {
      std::promise<void> quick;
      workers.run(kQuick, [&quick] { quick.set_value(); });
      quick.get_future().wait();
    }
    release.set_value();
    while (num_done < 12) std::this_thread::yield();
  }
  EXPECT_EQ(num_done, 12);
}

TEST(ConstraintWorkers, WhatIsQuickGoesFirst) {
  std::mutex mutex;
  std::vector<int> order;
  std::promise<void> release;
  const std::shared_future<void> released = release.get_future().share();
  std::atomic<int> num_holding{0}, num_done{0};
  ConstraintWorkers workers([&] { ++num_done; });
  const auto hold = [&] {
    ++num_holding;
    released.wait();
  };
  for (int i = 0; i < 3; ++i) workers.run(kQuick, hold);
  while (num_holding < 3) std::this_thread::yield();
  std::promise<void> first;
  workers.run(kQuick, [&] {
    ++num_holding;
    first.get_future().wait();
  });
  while (num_holding < 4) std::this_thread::yield();
  for (const double seconds : {0.03, 0.02, 0.04, 0.02})
    workers.run(seconds, [&, i = static_cast<int>(seconds * 100 + 0.5)] {
      const std::lock_guard lock(mutex);
      order.push_back(i);
    });
  first.set_value();  // one thread alone does all four
  while (num_done < 5) std::this_thread::yield();
  EXPECT_THAT(order, ElementsAre(2, 2, 3, 4));
  release.set_value();
}

}  // namespace
}  // namespace retort
