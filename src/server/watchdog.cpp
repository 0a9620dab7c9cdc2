#include "server/watchdog.h"

#include "base/cpu.h"
#include "base/log.h"
#include "server/status_routes.h"

namespace retort {
namespace {

constexpr std::chrono::seconds kInterval{1};

}  // namespace

void Watchdog::look() {
  api_.degradation.see_memory(memory_share_in_use(), Clock::now());
  if (api_.model != nullptr) report_engine();
  timer_.expires_after(kInterval);
  timer_.async_wait([this](boost::system::error_code error) {
    if (!error && !is_stopped_) look();
  });
}

void Watchdog::report_engine() {
  const bool had_fault = !fault_.empty();
  fault_ = engine_fault(api_.model->engine->stats(), Clock::now(), api_.step_timeout);
  if (!fault_.empty() && !had_fault) log::error("/health says 503: {}", fault_);
  if (fault_.empty() && had_fault) log::info("/health is well again: the engine goes on");
}

}  // namespace retort
