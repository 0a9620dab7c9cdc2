// How often values fell into which class, and their sum: what a histogram is drawn from. Not synchronised.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace retort {

// kBounds ascends; class i holds what is above bound i - 1 and not above bound i, the last one what is above all.
template <const auto& kBounds>
struct Distribution {
  std::array<uint64_t, kBounds.size() + 1> counts{};
  double sum = 0;

  void add(double value) {
    ++counts[static_cast<size_t>(std::ranges::lower_bound(kBounds, value) - kBounds.begin())];
    sum += value;
  }
};

}  // namespace retort
