// Predicts how long a step takes, from the steps just run: seconds ≈ c0 + c1·tokens + c2·attended, by least squares
// over relative errors with exponential forgetting (Haykin, Adaptive Filter Theory, ch. 9: recursive least squares),
// all coefficients ≥ 0. Engine thread only.
#pragma once

#include <array>
#include <cstdint>

namespace retort {

struct StepShape {
  int64_t num_tokens = 0;    // rows of the batch
  int64_t num_attended = 0;  // Σ over rows of the positions each looks at

  // One more run of tokens of one sequence, from position `first` on.
  void add_run(int64_t first, int64_t num) {
    num_tokens += num;
    num_attended += num * first + num * (num + 1) / 2;
  }
};

class StepCost {
 public:
  // Seconds; 0 while nothing has been learned.
  double predict(const StepShape& shape) const;
  // `seconds` > 0 is what the step took. One odd step (the machine was busy elsewhere) moves the prediction little.
  void learn(const StepShape& shape, double seconds);
  // How many more tokens from position `first` on fit beside `shape` within `seconds`. Never so many that the step were
  // more than twice as large as the largest of late: what was not tried is not known.
  int64_t tokens_that_fit(const StepShape& shape, int64_t first, double seconds) const;
  bool knows() const { return num_learned_ > 0; }
  bool is_settled() const;  // so many steps are known that one odd one moves it little

 private:
  static constexpr int kNumFeatures = 3;
  using Features = std::array<double, kNumFeatures>;
  static Features features(const StepShape& shape);
  void solve();

  std::array<Features, kNumFeatures> gram_{};  // Σ w x xᵀ, x relative to the step's seconds
  Features moment_{};                          // Σ w x
  Features coefficients_{};
  int64_t num_learned_ = 0;
  double largest_ = 0;  // tokens in a step of late
};

}  // namespace retort
