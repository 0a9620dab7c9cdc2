#include "cli/chat/terminal_guard.h"

#include <termios.h>
#include <unistd.h>

namespace retort {
namespace {

// A signal handler can reach nothing but globals.
struct termios state_before{};
std::string_view last_words;

void put_back_and_end(int signal) {
  ::tcsetattr(STDIN_FILENO, TCSANOW, &state_before);
  [[maybe_unused]] const auto written = ::write(STDOUT_FILENO, last_words.data(), last_words.size());
  std::signal(signal, SIG_DFL);
  std::raise(signal);  // blocked until this returns
}

}  // namespace

TerminalGuard::TerminalGuard(std::string_view farewell) {
  if (::tcgetattr(STDIN_FILENO, &state_before) != 0) return;
  last_words = farewell;
  struct sigaction action{};
  action.sa_handler = put_back_and_end;
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], nullptr, &before_[i]);
    if (before_[i].sa_handler != SIG_IGN) sigaction(kSignals[i], &action, nullptr);  // nohup
  }
  is_set_ = true;
}

TerminalGuard::~TerminalGuard() {
  if (!is_set_) return;
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
}

}  // namespace retort
