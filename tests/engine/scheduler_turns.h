// Steps of a Scheduler without a model: what each is made of, with tokens that say nothing.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <ostream>
#include <vector>

#include "engine/scheduler.h"
#include "prompts.h"
#include "scheduler_driver.h"

namespace retort::testing {

constexpr Prompts prompt_of{50};

struct Chunk {
  uint64_t request;
  int64_t first, count;
  bool operator==(const Chunk&) const = default;
};
inline std::ostream& operator<<(std::ostream& out, const Chunk& c) {
  return out << "request " << c.request << " [" << c.first << ", +" << c.count << ")";
}

inline std::vector<Chunk> chunks(const Step& step) {
  std::vector<Chunk> out;
  for (const auto& s : step.sequences) out.push_back({s.sequence->request_id, s.first_position, s.num_tokens});
  return out;
}

// Plans, commits, and gives token 1 to whoever samples.
inline std::vector<Chunk> turn(Scheduler& scheduler) {
  const Step& step = scheduler.plan();
  const auto out = chunks(step);
  scheduler.commit(step);
  for (const auto& s : step.sequences)
    if (s.samples) scheduler.append(*s.sequence, 1);
  EXPECT_EQ(integrity(scheduler), "");
  return out;
}

// A step takes 1 ms a token here, and the scheduler is to find that out.
inline std::vector<Chunk> timed_turn(Scheduler& scheduler) {
  const auto out = turn(scheduler);
  StepShape shape;
  for (const Chunk& c : out) shape.add_run(c.first, c.count);
  scheduler.learn(shape, 0.001 * static_cast<double>(shape.num_tokens));
  return out;
}

}  // namespace retort::testing
