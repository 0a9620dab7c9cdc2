// Lines from the person: with editing and history (libedit) on a terminal, plain otherwise.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "cli/chat/interrupt.h"

namespace retort {

class LineEditor {
 public:
  // history: a file that past lines are read from and kept in; empty: none.
  LineEditor(Interrupt& interrupt, std::filesystem::path history);
  ~LineEditor();

  bool is_terminal() const { return is_terminal_; }
  // A line without its line break; lines that end in \ go on in the next. None at the end of the input. Ctrl-C gives up
  // what was typed and asks again.
  std::optional<std::string> read(const std::string& prompt);

 private:
  std::optional<std::string> read_one(const std::string& prompt);

  Interrupt& interrupt_;
  std::filesystem::path history_;
  bool is_terminal_;
};

}  // namespace retort
