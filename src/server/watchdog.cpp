#include "server/watchdog.h"

#include <malloc.h>

#include "base/log.h"
#include "base/memory.h"
#include "server/status_routes.h"

namespace retort {
namespace {

constexpr std::chrono::seconds kInterval{1};

}  // namespace

void Watchdog::look() {
  api_.degradation.see_memory(memory_share_in_use(), Clock::now());
  if (api_.model != nullptr) {
    const EngineStats stats = api_.model->engine->stats();
    report_engine(stats);
    give_memory_back(stats);
  }
  timer_.expires_after(kInterval);
  timer_.async_wait([this](boost::system::error_code error) {
    if (!error && !is_stopped_) look();
  });
}

void Watchdog::report_engine(const EngineStats& stats) {
  const bool had_fault = !fault_.empty();
  fault_ = engine_fault(stats, Clock::now(), api_.step_timeout);
  if (!fault_.empty() && !had_fault) log::error("/health says 503: {}", fault_);
  if (fault_.empty() && had_fault) log::info("/health is well again: the engine goes on");
}

// The allocator of several threads keeps what a burst of large requests has freed.
void Watchdog::give_memory_back(const EngineStats& stats) {
  if (!api_.has_worked || api_.num_preparing > 0 || stats.num_unfinished > 0) return;
  if (api_.model->grammars->is_compiling()) return;
  api_.has_worked = false;
  ::malloc_trim(0);
}

}  // namespace retort
