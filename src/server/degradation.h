// Decides when the server does less for a while: memory nearly full, or requests that time out one after another.
// Nothing but the rules; who measures and who obeys is elsewhere. I/O thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace retort {

struct DegradeConfig {
  double memory_share = 0.9;          // of the cgroup's or machine's memory in use; 1: no matter how much
  int timeouts = 3;                   // in a row; 0: no matter how many
  bool rejects = false;               // new requests are sent away; else they get less
  std::chrono::seconds recovery{30};  // back to normal when the cause has been gone for so long
};

enum class DegradeCause { kMemory, kTimeouts };
inline constexpr std::array kDegradeCauses = {DegradeCause::kMemory, DegradeCause::kTimeouts};
std::string_view name_of(DegradeCause cause);  // "memory", "timeouts"

class Degradation {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Degradation(const DegradeConfig& config) : config_(config) {}

  void see_memory(double share_in_use, Clock::time_point now);
  // A request ended: by its time limit, or well.
  void see_end(bool timed_out, Clock::time_point now);

  std::optional<DegradeCause> cause() const;
  bool rejects() const { return config_.rejects && cause().has_value(); }
  const DegradeConfig& config() const { return config_; }

  bool is_active(DegradeCause cause) const { return state(cause).is_active; }
  uint64_t num_times(DegradeCause cause) const { return state(cause).num_times; }  // that it became active
  uint64_t num_recoveries(DegradeCause cause) const { return state(cause).num_recoveries; }

 private:
  struct State {
    bool is_active = false;
    Clock::time_point last_seen{};
    uint64_t num_times = 0, num_recoveries = 0;
  };
  const State& state(DegradeCause cause) const { return states_[static_cast<size_t>(cause)]; }
  void see(DegradeCause cause, Clock::time_point now, std::string_view what);
  void recover(Clock::time_point now);

  DegradeConfig config_;
  std::array<State, kDegradeCauses.size()> states_;
  int timeouts_in_a_row_ = 0;
};

}  // namespace retort
