// What several runs of one measurement say.
#pragma once

#include <vector>

namespace retort {

struct Summary {
  double median = 0, min = 0, max = 0;
  double spread() const { return median == 0 ? 0 : (max - min) / median; }  // 0.02: the runs lie within 2 %
};

Summary summarise(std::vector<double> values);  // not empty

}  // namespace retort
