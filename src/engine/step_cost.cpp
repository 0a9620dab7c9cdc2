#include "engine/step_cost.h"

#include <algorithm>
#include <cmath>

namespace retort {
namespace {

constexpr double kTokens = 64, kAttended = 64 * 1024;  // bring the features to one order of magnitude
constexpr double kForget = 0.95;                       // a step counts half after 14 more
constexpr double kPull = 1e-3;   // towards the last coefficients, where the steps seen do not tell features apart
constexpr int64_t kTrusted = 8;  // steps learned before an odd one is told from news
constexpr double kOddRatio = 2;  // and what counts as odd: so many times longer than predicted
constexpr int kMaxSweeps = 64;
constexpr double kAtRest = 1e-6;  // a coefficient that moves by a smaller share of itself
constexpr double kUntried = 64;   // tokens a step may have though none so large was seen

}  // namespace

StepCost::Features StepCost::features(const StepShape& shape) {
  return {1, static_cast<double>(shape.num_tokens) / kTokens, static_cast<double>(shape.num_attended) / kAttended};
}

bool StepCost::is_settled() const { return num_learned_ >= kTrusted; }

double StepCost::predict(const StepShape& shape) const {
  const Features x = features(shape);
  double seconds = 0;
  for (int i = 0; i < kNumFeatures; ++i) seconds += coefficients_[i] * x[i];
  return seconds;
}

void StepCost::learn(const StepShape& shape, double seconds) {
  Features x = features(shape);
  // The first guess is the careful one: all of the time is the tokens'.
  if (num_learned_ == 0) coefficients_[1] = seconds / x[1];
  if (is_settled()) seconds = std::min(seconds, kOddRatio * predict(shape));
  for (double& value : x) value /= seconds;
  for (int i = 0; i < kNumFeatures; ++i) {
    for (int j = 0; j < kNumFeatures; ++j) gram_[i][j] = kForget * gram_[i][j] + x[i] * x[j];
    moment_[i] = kForget * moment_[i] + x[i];
  }
  ++num_learned_;
  largest_ = std::max(static_cast<double>(shape.num_tokens), kForget * largest_);
  solve();
}

// Least squares under c ≥ 0 by coordinate descent, from the last solution and pulled towards it, until it rests.
void StepCost::solve() {
  const Features last = coefficients_;
  Features scale{};
  for (int i = 0; i < kNumFeatures; ++i) scale[i] = gram_[i][i] > 0 ? 1 / ((1 + kPull) * gram_[i][i]) : 0;
  bool moves = true;
  for (int sweep = 0; sweep < kMaxSweeps && moves; ++sweep) {
    moves = false;
    for (int i = 0; i < kNumFeatures; ++i) {
      double rest = moment_[i] + kPull * gram_[i][i] * last[i];
      for (int j = 0; j < kNumFeatures; ++j)
        if (j != i) rest -= gram_[i][j] * coefficients_[j];
      const double value = std::max(0.0, rest * scale[i]);
      moves |= std::abs(value - coefficients_[i]) > kAtRest * value;
      coefficients_[i] = value;
    }
  }
}

// c1·n + c2·(n·first + n²/2) ≤ what is left, solved for n.
int64_t StepCost::tokens_that_fit(const StepShape& shape, int64_t first, double seconds) const {
  const double known = std::max(kUntried, 2 * largest_) - static_cast<double>(shape.num_tokens);
  if (num_learned_ == 0) return static_cast<int64_t>(std::max(0.0, known));
  const double left = seconds - predict(shape);
  const double linear = coefficients_[1] / kTokens + coefficients_[2] * (static_cast<double>(first) + 0.5) / kAttended;
  const double square = coefficients_[2] / (2 * kAttended);
  if (left <= 0) return 0;
  // Of the two forms of the root, the one that does not divide by `square`, which may be 0.
  const double n = 2 * left / (linear + std::sqrt(linear * linear + 4 * square * left));
  return static_cast<int64_t>(std::clamp(n, 0.0, std::max(0.0, known)));
}

}  // namespace retort
