// Which KernelTuning is fastest here: measured on a model's own matrices, chosen from the times alone. Called by
// whoever drives the thread pool, before the first step.
#pragma once

#include <chrono>
#include <limits>
#include <span>
#include <vector>

#include "kernels/matmul.h"

namespace retort {

// Seconds that a matmul of so many rows takes each way: by the kernel for few rows or that for many, with the
// prefetcher nudged on, or every line asked for, past the caches or into them (kept). Infinity where there is no such
// way.
struct RowTimes {
  int num_rows;
  double nudged, asked, many, many_nudged;
  double kept = std::numeric_limits<double>::infinity(), many_kept = std::numeric_limits<double>::infinity();
};

// The tuning whose ways are fastest over all these numbers of rows. A way other than the usual tuning's must win by
// kTuningMargin to count as faster, so that noise changes nothing; among equals the nearest to the usual one is taken.
KernelTuning choose_tuning(std::span<const RowTimes> times, const KernelTuning& usual);
inline constexpr double kTuningMargin = 0.05;

// matrices: of one type and shape, multiplied in turns, so that they come from where a step would read them. Of some
// rounds the least time counts: other programs only add to it. Empty when the budget ended before kTuningRounds rounds.
std::vector<RowTimes> measure_row_times(const Matmul& matmul, std::span<const PackedMatrix* const> matrices,
                                        std::chrono::duration<double> budget);
inline constexpr int kTuningRounds = 3;

}  // namespace retort
