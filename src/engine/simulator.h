// The real scheduler on an imagined machine: an arrival trace runs through it on a clock that a step's price moves on,
// so that policy can be studied at sizes and loads no test machine has.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "engine/scheduler.h"

namespace retort {

struct SimulatedRequest {
  double arrival = 0;  // seconds; a trace is in order of arrival
  int64_t input_length = 1, output_length = 1;
  int priority = 0;
  // Prompts whose first i ids are equal are equal in their first i · kTraceBlockTokens tokens (as in Mooncake's traces,
  // arXiv 2407.00079).
  std::vector<uint64_t> hash_ids = {};
};
inline constexpr int64_t kTraceBlockTokens = 512;

// Seconds of a step = base + per_token · tokens + per_attended · positions looked at.
struct StepPrice {
  double base = 0.030, per_token = 0.005, per_attended = 2e-6;
};

struct SimulationConfig {
  SchedulerConfig scheduler = {};
  int32_t num_blocks = 4096;
  bool enable_prefix_caching = true;
  StepPrice price = {};
};

struct SimulationReport {
  // Seconds, in no order: to the first token of each request, between tokens of one request, to the last of each.
  std::vector<float> first_token, between_tokens, whole;
  uint64_t num_refused = 0;  // would never fit
  uint64_t num_steps = 0, num_preemptions = 0;
  uint64_t prompt_tokens = 0, cached_prompt_tokens = 0, generated_tokens = 0;
  int max_waiting = 0, max_running = 0;
  double seconds = 0;             // of the imagined clock, from the first arrival to the last token
  double scheduling_seconds = 0;  // really spent in the scheduler
};

// Error kInternal: the scheduler's books do not balance at the end.
Result<SimulationReport> simulate(const SimulationConfig& config, const std::vector<SimulatedRequest>& trace);

}  // namespace retort
