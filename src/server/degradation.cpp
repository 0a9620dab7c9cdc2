#include "server/degradation.h"

#include "base/log.h"

namespace retort {

std::string_view name_of(DegradeCause cause) { return cause == DegradeCause::kMemory ? "memory" : "timeouts"; }

void Degradation::see_memory(double share_in_use, Clock::time_point now) {
  if (share_in_use > config_.memory_share)
    see(DegradeCause::kMemory, now, fmt::format("{:.0f} % of the memory is in use", 100 * share_in_use));
  recover(now);
}

void Degradation::see_end(bool timed_out, Clock::time_point now) {
  timeouts_in_a_row_ = timed_out ? timeouts_in_a_row_ + 1 : 0;
  if (config_.timeouts > 0 && timeouts_in_a_row_ >= config_.timeouts)
    see(DegradeCause::kTimeouts, now, fmt::format("{} requests in a row ran out of time", timeouts_in_a_row_));
}

std::optional<DegradeCause> Degradation::cause() const {
  for (const DegradeCause cause : kDegradeCauses)
    if (is_active(cause)) return cause;
  return std::nullopt;
}

void Degradation::see(DegradeCause cause, Clock::time_point now, std::string_view what) {
  State& state = states_[static_cast<size_t>(cause)];
  state.last_seen = now;
  if (state.is_active) return;
  state.is_active = true;
  ++state.num_times;
  log::warn("degraded ({}): {}; new requests {} until that has been over for {} s", name_of(cause), what,
            config_.rejects ? "are sent away" : "get shorter answers", config_.recovery.count());
}

void Degradation::recover(Clock::time_point now) {
  for (const DegradeCause cause : kDegradeCauses) {
    State& state = states_[static_cast<size_t>(cause)];
    if (!state.is_active || now - state.last_seen < config_.recovery) continue;
    state.is_active = false;
    ++state.num_recoveries;
    log::info("no longer degraded ({})", name_of(cause));
  }
}

}  // namespace retort
