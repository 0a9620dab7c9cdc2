#include "engine/constraint_workers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

namespace retort {
namespace {

using ::testing::ElementsAre;

constexpr double kQuick = 0.001, kSlow = 1;

// Does not end unless what takes `after` seconds begins while nine that take `before` are held.
void expect_thread_is_kept(double before, double after) {
  std::atomic<int> num_done{0};
  std::promise<void> release;
  const std::shared_future<void> released = release.get_future().share();
  {
    ConstraintWorkers workers([&] { ++num_done; });
    for (int i = 0; i < 9; ++i) workers.run(before, [released] { released.wait(); });
    for (int i = 0; i < 3; ++i) {
      std::promise<void> begun;
      workers.run(after, [&begun] { begun.set_value(); });
      begun.get_future().wait();
    }
    release.set_value();
    while (num_done < 12) std::this_thread::yield();
  }
  EXPECT_EQ(num_done, 12);
}

TEST(ConstraintWorkers, WhatIsSlowLeavesAThreadToWhatIsQuick) { expect_thread_is_kept(kSlow, kQuick); }

TEST(ConstraintWorkers, WhatIsQuickLeavesAThreadToWhatIsSlow) { expect_thread_is_kept(kQuick, kSlow); }

TEST(ConstraintWorkers, WhatIsQuickGoesFirst) {
  std::mutex mutex;
  std::vector<double> order;
  std::promise<void> release;
  const std::shared_future<void> released = release.get_future().share();
  std::atomic<int> num_holding{0}, num_done{0};
  ConstraintWorkers workers([&] { ++num_done; });
  const auto hold = [&] {
    ++num_holding;
    released.wait();
  };
  for (int i = 0; i < 3; ++i) workers.run(kSlow, hold);
  while (num_holding < 3) std::this_thread::yield();
  std::promise<void> first;
  workers.run(kQuick, [&] {
    ++num_holding;
    first.get_future().wait();
  });
  while (num_holding < 4) std::this_thread::yield();
  const auto note = [&](double seconds) {
    const std::lock_guard lock(mutex);
    order.push_back(seconds);
  };
  for (const double seconds : {0.04, 2.0, 0.02, 1.0, 0.03}) workers.run(seconds, [=] { note(seconds); });
  first.set_value();  // that thread alone does the quick ones, the slow ones wait
  while (num_done < 4) std::this_thread::yield();
  release.set_value();
  while (num_done < 9) std::this_thread::yield();
  ASSERT_EQ(order.size(), 5u);
  order.resize(3);
  EXPECT_THAT(order, ElementsAre(0.04, 0.02, 0.03));
}

}  // namespace
}  // namespace retort
