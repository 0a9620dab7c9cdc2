#include "kernels/tuning.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

namespace retort {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr int kMostRounds = 30;
constexpr int kMeasuredRows[] = {1, 2, 3, 4, 6, 8, 12, 16};

using Way = double RowTimes::*;

Way way_of(int num_rows, const KernelTuning& tuning) {
  const bool is_many = num_rows >= tuning.many_rows_from;
  if (num_rows <= tuning.nudged_rows) return is_many ? &RowTimes::many_nudged : &RowTimes::nudged;
  if (tuning.keeps_lines) return is_many ? &RowTimes::many_kept : &RowTimes::kept;
  return is_many ? &RowTimes::many : &RowTimes::asked;
}

// How much slower than the usual tuning, in logarithms summed over the numbers of rows.
double cost_of(std::span<const RowTimes> times, const KernelTuning& tuning, const KernelTuning& usual) {
  double cost = 0;
  for (const RowTimes& row : times) {
    const Way way = way_of(row.num_rows, tuning), usual_way = way_of(row.num_rows, usual);
    if (way != usual_way) cost += std::log(row.*way / row.*usual_way) - std::log(1 - kTuningMargin);
  }
  return cost;
}

// One way of multiplying so many rows, and the least time it took.
struct Measurement {
  int num_rows;
  Way way;
  double seconds = kNever;
};

KernelTuning tuning_for(Way way) {
  const bool is_nudged = way == &RowTimes::nudged || way == &RowTimes::many_nudged;
  const bool is_kept = way == &RowTimes::kept || way == &RowTimes::many_kept;
  const bool is_many = way == &RowTimes::many || way == &RowTimes::many_nudged || way == &RowTimes::many_kept;
  return {
      .nudged_rows = is_nudged ? kMaxTileRows : 0, .many_rows_from = is_many ? 1 : kNoManyRows, .keeps_lines = is_kept};
}

std::vector<Measurement> measurements_for(const TileKernels& kernels) {
  std::vector<Measurement> all;
  for (const int num_rows : kMeasuredRows) {
    if (num_rows > kernels.panel_rows) break;
    for (const Way way : {&RowTimes::nudged, &RowTimes::asked, &RowTimes::kept}) all.push_back({num_rows, way});
    if (kernels.many_rows_step == 0) continue;
    for (const Way way : {&RowTimes::many, &RowTimes::many_nudged, &RowTimes::many_kept})
      all.push_back({num_rows, way});
  }
  return all;
}

std::vector<RowTimes> by_rows(std::span<const Measurement> all) {
  std::vector<RowTimes> times;
  for (const Measurement& one : all) {
    if (times.empty() || times.back().num_rows != one.num_rows)
      times.push_back({one.num_rows, kNever, kNever, kNever, kNever});
    times.back().*one.way = one.seconds;
  }
  return times;
}

// Rows of values as a model's are: of all signs and sizes.
Activations some_rows(int64_t num_inputs) {
  Activations rows;
  rows.resize(kMaxTileRows, num_inputs);
  for (int64_t r = 0; r < kMaxTileRows; ++r)
    for (int64_t i = 0; i < num_inputs; ++i) rows.row(r)[i] = static_cast<float>((r + i) * 7919 % 257) / 128 - 1;
  return rows;
}

}  // namespace

KernelTuning choose_tuning(std::span<const RowTimes> times, const KernelTuning& usual) {
  KernelTuning best = usual;
  std::pair<double, int> best_cost{0, 0};  // and the distance from the usual one
  for (int nudged = 0; nudged <= kMaxTileRows; ++nudged)
    for (int many_from = 1; many_from <= kNoManyRows; ++many_from)
      for (const bool keeps : {usual.keeps_lines, !usual.keeps_lines}) {
        const KernelTuning tuning{nudged, many_from, keeps};
        const int distance = std::abs(nudged - usual.nudged_rows) + std::abs(many_from - usual.many_rows_from) +
                             (keeps != usual.keeps_lines ? 1 : 0);
        const std::pair cost{cost_of(times, tuning, usual), distance};
        if (cost < best_cost) {
          best = tuning;
          best_cost = cost;
        }
      }
  return best;
}

std::vector<RowTimes> measure_row_times(const Matmul& matmul, std::span<const PackedMatrix* const> matrices,
                                        std::chrono::duration<double> budget) {
  const auto start = Clock::now();
  const auto seconds_since = [](Clock::time_point then) {
    return std::chrono::duration<double>(Clock::now() - then).count();
  };
  auto all = measurements_for(matmul.kernels());
  Activations in = some_rows(matrices.front()->num_inputs());
  std::vector<float> out(static_cast<size_t>(kMaxTileRows * matrices.front()->num_outputs()));
  Matmul probe = matmul;
  double last = 0;
  size_t next = 0;
  for (int round = 0; round < kMostRounds; ++round)
    for (Measurement& one : all) {
      // In the first round a measurement may take twice what the last did: the rows grow so.
      const double expected = one.seconds < kNever ? one.seconds : 2 * last;
      if (seconds_since(start) + expected > budget.count())
        return round < kTuningRounds ? std::vector<RowTimes>() : by_rows(all);
      const PackedMatrix& matrix = *matrices[next++ % matrices.size()];
      in.resize(one.num_rows, matrix.num_inputs());
      probe.set_tuning(tuning_for(one.way));
      const auto began = Clock::now();
      probe.run(in, {{&matrix, nullptr, out.data(), matrix.num_outputs()}});
      last = seconds_since(began);
      one.seconds = std::min(one.seconds, last);
    }
  return by_rows(all);
}

}  // namespace retort
