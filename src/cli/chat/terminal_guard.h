// The terminal as it was, also where a signal ends the program while a line is edited. One object at a time.
#pragma once

#include <array>
#include <csignal>
#include <string_view>

namespace retort {

class TerminalGuard {
 public:
  // Remembers the state of standard input, a terminal. SIGHUP and SIGTERM then put it back and write `farewell`, a
  // literal, to standard output before they end the program.
  explicit TerminalGuard(std::string_view farewell);
  ~TerminalGuard();
  TerminalGuard(const TerminalGuard&) = delete;
  TerminalGuard& operator=(const TerminalGuard&) = delete;

 private:
  static constexpr std::array kSignals = {SIGHUP, SIGTERM};
  std::array<struct sigaction, kSignals.size()> before_{};
  bool is_set_ = false;
};

}  // namespace retort
