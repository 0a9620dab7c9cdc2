// Lines from the person: with editing and history (libedit) on a terminal, plain otherwise.
#pragma once

#include <histedit.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "cli/chat/interrupt.h"
#include "cli/chat/terminal_guard.h"

namespace retort {

class LineEditor {
 public:
  // history: a file that past lines are read from and each new one is appended to; empty: none.
  LineEditor(Interrupt& interrupt, std::filesystem::path history);
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  bool is_terminal() const { return is_terminal_; }
  // A line without its line break; lines that end in \ go on in the next, and what is pasted may have several. None at
  // the end of the input. Ctrl-C on a terminal gives up all of it and asks again; without one there is then none.
  std::optional<std::string> read(const std::string& prompt);
  // Error kIo: the end of the input was none, it could not be read.
  Status status() const;

 private:
  struct End {
    void operator()(EditLine* editor) const { el_end(editor); }
    void operator()(History* lines) const { history_end(lines); }
  };

  // A line alone; none at the end of the input and when Ctrl-C was pressed.
  std::optional<std::string> read_plain();
  std::optional<std::string> read_edited(const std::string& prompt);
  void load_history();
  void keep(const std::string& line);
  static char* prompt_of(EditLine* editor);

  Interrupt& interrupt_;
  std::filesystem::path history_;
  bool is_terminal_;
  bool is_first_ = true;       // no line has been read
  int read_error_ = 0;         // errno
  bool marks_pastes_ = false;  // the terminal is asked to bracket what is pasted
  std::string prompt_;
  std::optional<TerminalGuard> guard_;
  std::unique_ptr<History, End> lines_;
  std::unique_ptr<EditLine, End> editor_;  // ends before the lines it looks through
};

}  // namespace retort
