#include "cli/chat/interrupt.h"

#include <cstdlib>

namespace retort {
namespace {

// A signal handler can reach nothing but globals.
std::atomic<bool> pressed{false};
static_assert(std::atomic<bool>::is_always_lock_free);

}  // namespace

Interrupt::Interrupt() {
  pressed = false;
  struct sigaction action{};
  action.sa_handler = [](int) { pressed = true; };
  sigemptyset(&action.sa_mask);  // without SA_RESTART, so that a read of the terminal ends
  sigaction(SIGINT, &action, &before_);
}

Interrupt::~Interrupt() { sigaction(SIGINT, &before_, nullptr); }

const std::atomic<bool>& Interrupt::flag() const { return pressed; }
bool Interrupt::take() { return pressed.exchange(false); }

void Interrupt::end_program() {
  std::signal(SIGINT, SIG_DFL);
  std::raise(SIGINT);
  std::_Exit(128 + SIGINT);  // the signal is blocked
}

}  // namespace retort
