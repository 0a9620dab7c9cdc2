// Arrival traces for `retort simulate`: read from a file, or drawn.
#pragma once

#include <filesystem>
#include <vector>

#include "base/result.h"
#include "engine/simulator.h"

namespace retort {

// JSON lines in the form of Mooncake's traces (arXiv 2407.00079): "timestamp" in milliseconds, "input_length",
// "output_length", and optionally "hash_ids" and "priority". In order of arrival. Errors
// name the line and what was expected there.
Result<std::vector<SimulatedRequest>> read_trace(const std::filesystem::path& path);

struct DrawnTrace {
  int num_requests = 1000;
  double rate = 1;                                                             // arrivals a second, Poisson
  int64_t min_input = 20, max_input = 3000, min_output = 1, max_output = 400;  // uniform
  uint64_t seed = 0;
};
std::vector<SimulatedRequest> draw_trace(const DrawnTrace& drawn);

}  // namespace retort
