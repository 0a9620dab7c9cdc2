// Angles of the rotary embedding (arXiv 2104.09864) with the model's scaling, as cos and sin of a position.
#pragma once

#include <cstdint>
#include <vector>

#include "model/config.h"

namespace retort {

class RopeTable {
 public:
  explicit RopeTable(const ModelConfig& config);

  int64_t num_pairs() const { return static_cast<int64_t>(frequencies_.size()); }  // head_dim / 2
  const std::vector<double>& frequencies() const { return frequencies_; }          // radians a position
  // cos, sin: [num_pairs]
  void fill(int64_t position, float* cos, float* sin) const;

 private:
  std::vector<double> frequencies_;
  double magnitude_ = 1;
};

}  // namespace retort
