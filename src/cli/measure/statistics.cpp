#include "cli/measure/statistics.h"

#include <algorithm>

#include "base/result.h"

namespace retort {

Summary summarise(std::vector<double> values) {
  RETORT_CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  const double median = values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return {median, values.front(), values.back()};
}

}  // namespace retort
