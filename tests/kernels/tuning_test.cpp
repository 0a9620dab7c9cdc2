#include "kernels/tuning.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <ostream>

namespace retort {

static void PrintTo(const KernelTuning& tuning, std::ostream* out) {
  *out << "nudged_rows=" << tuning.nudged_rows << ",keeps_lines=" << tuning.keeps_lines
       << ",many_rows_from=" << tuning.many_rows_from;
}

namespace {

constexpr double kNone = std::numeric_limits<double>::infinity();
constexpr KernelTuning kUsual{.nudged_rows = 2, .many_rows_from = 7};

TEST(ChooseTuning, EqualTimesKeepTheUsual) {
  const std::vector<RowTimes> times = {
      {1, 1, 1, 1, kNone}, {2, 2, 2, 2, kNone}, {4, 3, 3, 3, kNone}, {8, kNone, 6, 6, kNone}};
  EXPECT_EQ(choose_tuning(times, kUsual), kUsual);
  EXPECT_EQ(choose_tuning(times, {0, 3}), (KernelTuning{0, 3}));
  EXPECT_EQ(choose_tuning({}, kUsual), kUsual);
}

TEST(ChooseTuning, WhatNoiseCouldBeKeepsTheUsual) {
  const std::vector<RowTimes> times = {
      {1, 1.04, 1, 0.99, kNone}, {2, 2.05, 2, 1.96, kNone}, {4, 2.9, 3, 2.9, kNone}, {8, kNone, 5.8, 6, kNone}};
  EXPECT_EQ(choose_tuning(times, kUsual), kUsual);
}

TEST(ChooseTuning, NudgesAsManyRowsAsGainByIt) {
  const std::vector<RowTimes> gain = {
      {1, 1, 1.5, 9, kNone}, {2, 2, 2.4, 9, kNone}, {3, 3, 3.3, 9, kNone}, {4, 4, 3.5, 9, kNone}};
  EXPECT_EQ(choose_tuning(gain, {0, 7}), (KernelTuning{3, 7}));
  const std::vector<RowTimes> loss = {
      {1, 1.8, 1, 9, kNone}, {2, 2.9, 2, 9, kNone}, {3, 3.3, 3, 9, kNone}, {4, 4, 3.5, 9, kNone}};
  EXPECT_EQ(choose_tuning(loss, kUsual), (KernelTuning{0, 7}));
  const std::vector<RowTimes> one = {
      {1, 1, 1.5, 9, kNone}, {2, 2.4, 2, 9, kNone}, {3, 3.3, 3, 9, kNone}, {4, 4, 3.5, 9, kNone}};
  EXPECT_EQ(choose_tuning(one, kUsual), (KernelTuning{1, 7}));
}

TEST(ChooseTuning, TheKernelForManyRowsMayBeNudgedToo) {
  const std::vector<RowTimes> times = {{1, 1, 2, 3, 3}, {4, 2, 4, 4, 3}, {8, 8, 9, 6, 4}, {12, 16, 16, 8, 6}};
  EXPECT_EQ(choose_tuning(times, {0, 3}), (KernelTuning{12, 5}));
}

TEST(ChooseTuning, ManyRowsBeginWhereTheirKernelIsFaster) {
  const auto from = [](double at_2, double at_4, double at_6, double at_8) {
    const std::vector<RowTimes> times = {{1, 1, 1, 3, kNone},
                                         {2, 2, 2, at_2, kNone},
                                         {4, 4, 4, at_4, kNone},
                                         {6, kNone, 6, at_6, kNone},
                                         {8, kNone, 8, at_8, kNone}};
    return choose_tuning(times, kUsual).many_rows_from;
  };
  EXPECT_EQ(from(3, 5, 7, 6), 7) << "between 6 and 8 the nearest to the usual";
  EXPECT_EQ(from(3, 5, 5, 6), 6);
  EXPECT_EQ(from(3, 3, 5, 6), 4);
  EXPECT_EQ(from(1, 3, 5, 6), 2);
  EXPECT_EQ(from(3, 5, 7, 9), 9) << "with none of the measured numbers";
  EXPECT_EQ(from(1.8, 5, 7, 6), 7) << "one number of rows alone";
}

TEST(ChooseTuning, AKernelThatIsNotThereIsNotChosen) {
  const std::vector<RowTimes> times = {{1, 1, 2, kNone, kNone}, {2, 3, 2, kNone, kNone}, {8, kNone, 9, kNone, kNone}};
  EXPECT_EQ(choose_tuning(times, {2, kNoManyRows}), (KernelTuning{1, kNoManyRows}));
}

TEST(ChooseTuning, LinesAreKeptWhereThatIsFaster) {
  const std::vector<RowTimes> all = {{1, 2, 3, 9, 9, 1.8, 9}, {2, 3, 4, 9, 9, 2.4, 9}, {8, 9, 9, 7, 8, 8, 6}};
  EXPECT_EQ(choose_tuning(all, kUsual), (KernelTuning{0, 7, true}));
  const std::vector<RowTimes> above = {{1, 1, 3, 9, 9, 1.8, 9}, {2, 2.5, 4, 9, 9, 2.4, 9}, {8, 9, 9, 7, 8, 8, 6}};
  EXPECT_EQ(choose_tuning(above, kUsual), (KernelTuning{2, 7, true})) << "what noise could be is nudged as before";
  const std::vector<RowTimes> slower = {{1, 1, 3, 9, 9, 3, 9}, {2, 2, 4, 9, 9, 4, 9}, {8, 9, 9, 6, 8, 8, 7}};
  EXPECT_EQ(choose_tuning(slower, kUsual), kUsual);
  EXPECT_EQ(choose_tuning(slower, {2, 7, true}), kUsual);
}

class Measuring : public testing::Test {
 protected:
  Measuring() : bytes_(64 * 256 / 32 * info_of(TensorType::kQ4_0).block_bytes) {
    for (auto& matrix : matrices_)
      matrix = PackedMatrix::pack({"w", TensorType::kQ4_0, {64, 256}, bytes_}, pool_).value();
  }
  std::vector<RowTimes> measure(Isa isa, std::chrono::duration<double> budget) {
    const PackedMatrix* matrices[] = {&matrices_[0], &matrices_[1]};
    return measure_row_times(Matmul(isa, pool_), matrices, budget);
  }
  ThreadPool pool_{2};
  std::vector<std::byte> bytes_;
  PackedMatrix matrices_[2];
};

TEST_F(Measuring, TimesEveryWayThatASetHas) {
  for (Isa isa : supported_isas()) {
    const Matmul matmul(isa, pool_);
    const bool has_many = matmul.kernels().many_rows_step > 0;
    const auto times = measure(isa, std::chrono::seconds(60));
    ASSERT_GE(times.size(), 5u) << isa_name(isa);
    EXPECT_EQ(times.front().num_rows, 1);
    for (const RowTimes& row : times) {
      EXPECT_LE(row.num_rows, matmul.kernels().panel_rows);
      EXPECT_TRUE(std::isfinite(row.asked) && row.asked > 0) << isa_name(isa) << ", " << row.num_rows << " rows";
      EXPECT_TRUE(std::isfinite(row.nudged) && row.nudged > 0) << isa_name(isa) << ", " << row.num_rows << " rows";
      EXPECT_TRUE(std::isfinite(row.kept) && row.kept > 0) << isa_name(isa) << ", " << row.num_rows << " rows";
      EXPECT_EQ(std::isfinite(row.many_kept), has_many) << isa_name(isa) << ", " << row.num_rows << " rows";
      EXPECT_EQ(std::isfinite(row.many), has_many) << isa_name(isa) << ", " << row.num_rows << " rows";
      EXPECT_EQ(std::isfinite(row.many_nudged), has_many) << isa_name(isa) << ", " << row.num_rows << " rows";
    }
  }
}

TEST_F(Measuring, ABudgetThatIsUsedUpGivesNothing) {
  EXPECT_TRUE(measure(Isa::kScalar, std::chrono::duration<double>(0)).empty());
}

}  // namespace
}  // namespace retort
