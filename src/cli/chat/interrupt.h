// Ctrl-C as a flag instead of the end of the program, while an object lives. One at a time.
#pragma once

#include <atomic>
#include <csignal>

namespace retort {

class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  const std::atomic<bool>& flag() const;
  bool take();  // whether Ctrl-C was pressed since the last call
  // As Ctrl-C does without this object. Of an exit code alone a shell would not see that its loop is to end too.
  [[noreturn]] static void end_program();

 private:
  struct sigaction before_{};
};

}  // namespace retort
