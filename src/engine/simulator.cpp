#include "engine/simulator.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "engine/philox.h"

namespace retort {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kOwnText = 1ull << 63;  // sets what only one request says apart from what traces share

TokenId token_at(uint64_t text, int64_t position) {
  return static_cast<TokenId>(random_bits(text, 0, static_cast<uint64_t>(position)) >> 33);
}

class Simulation {
 public:
  Simulation(const SimulationConfig& config, const std::vector<SimulatedRequest>& trace)
      : price_(config.price),
        trace_(trace),
        capacity_(int64_t{config.num_blocks} * kBlockTokens),
        scheduler_(config.scheduler, config.num_blocks, config.enable_prefix_caching),
        last_token_(trace.size()) {}

  Result<SimulationReport> run() {
    if (!trace_.empty()) now_ = trace_.front().arrival;
    const double start = now_;
    while (next_ < trace_.size() || scheduler_.has_work()) {
      if (!scheduler_.has_work()) now_ = std::max(now_, trace_[next_].arrival);
      while (next_ < trace_.size() && trace_[next_].arrival <= now_) add(next_++);
      if (scheduler_.has_work()) step();
    }
    RETORT_TRY(scheduler_.check_integrity());
    report_.seconds = now_ - start;
    report_.num_preemptions = scheduler_.num_preemptions();
    return std::move(report_);
  }

 private:
  void add(size_t idx) {
    const SimulatedRequest& request = trace_[idx];
    if (request.input_length + request.output_length > capacity_) {
      ++report_.num_refused;
      return;
    }
    std::vector<TokenId> prompt(request.input_length);
    for (int64_t i = 0; i < request.input_length; ++i) {
      const auto block = static_cast<size_t>(i / kTraceBlockTokens);
      prompt[i] = token_at(block < request.hash_ids.size() ? request.hash_ids[block] : kOwnText + idx, i);
    }
    timed([&] {
      scheduler_.add({.request_id = idx,
                      .prompt = std::move(prompt),
                      .priority = request.priority,
                      .arrived_ms = static_cast<int64_t>(request.arrival * 1000)});
    });
    report_.max_waiting = std::max(report_.max_waiting, scheduler_.num_waiting());
    report_.prompt_tokens += request.input_length;
  }

  void step() {
    const Step* step = nullptr;
    timed([&] {
      step = &scheduler_.plan();
      scheduler_.commit(*step);
    });
    const StepShape shape = step->shape;
    const double seconds = price_.base + price_.per_token * static_cast<double>(shape.num_tokens) +
                           price_.per_attended * static_cast<double>(shape.num_attended);
    now_ += seconds;
    ++report_.num_steps;
    report_.max_running = std::max(report_.max_running, scheduler_.num_running());
    given_.clear();
    for (const auto& scheduled : step->sequences)
      if (scheduled.samples) given_.push_back({scheduled.sequence, next_token(*scheduled.sequence)});
    timed([&] {
      for (const auto& [sequence, token] : given_)
        token ? scheduler_.append(*sequence, *token) : scheduler_.remove(*sequence);
      scheduler_.learn(shape, seconds);
    });
  }

  // The one it gets now, which goes into the report; none: that was its last, and it need not be computed.
  std::optional<TokenId> next_token(const Sequence& sequence) {
    const SimulatedRequest& request = trace_[sequence.request_id];
    double& last = last_token_[sequence.request_id];
    const int64_t num_generated = sequence.num_tokens() - sequence.num_prompt_tokens + 1;
    if (num_generated == 1) {
      report_.first_token.push_back(static_cast<float>(now_ - request.arrival));
      report_.cached_prompt_tokens += sequence.num_cached_tokens;
    } else {
      report_.between_tokens.push_back(static_cast<float>(now_ - last));
    }
    last = now_;
    ++report_.generated_tokens;
    if (num_generated < request.output_length) return token_at(kOwnText + sequence.request_id, sequence.num_tokens());
    report_.whole.push_back(static_cast<float>(now_ - request.arrival));
    return std::nullopt;
  }

  template <class Body>
  void timed(Body&& body) {
    const auto start = Clock::now();
    body();
    report_.scheduling_seconds += std::chrono::duration<double>(Clock::now() - start).count();
  }

  const StepPrice price_;
  const std::vector<SimulatedRequest>& trace_;
  const int64_t capacity_;  // tokens
  Scheduler scheduler_;
  size_t next_ = 0;  // to arrive
  double now_ = 0;
  std::vector<double> last_token_;                                   // when each request last got one
  std::vector<std::pair<Sequence*, std::optional<TokenId>>> given_;  // in the step that runs
  SimulationReport report_;
};

}  // namespace

Result<SimulationReport> simulate(const SimulationConfig& config, const std::vector<SimulatedRequest>& trace) {
  return Simulation(config, trace).run();
}

}  // namespace retort
