#include "cli/chat/line_editor.h"

#include <editline/readline.h>
#include <fmt/format.h>
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <system_error>

namespace retort {
namespace {

constexpr int kMaxHistory = 1000;

}  // namespace

LineEditor::LineEditor(Interrupt& interrupt, std::filesystem::path history)
    : interrupt_(interrupt), history_(std::move(history)), is_terminal_(isatty(STDIN_FILENO) != 0) {
  if (!is_terminal_) return;
  std::setlocale(LC_CTYPE, "");  // libedit counts characters, not bytes
  using_history();
  stifle_history(kMaxHistory);
  if (!history_.empty()) read_history(history_.c_str());
}

LineEditor::~LineEditor() {
  if (!is_terminal_ || history_.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(history_.parent_path(), error);
  if (write_history(history_.c_str()) == 0) std::filesystem::permissions(history_, std::filesystem::perms(0600), error);
}

std::optional<std::string> LineEditor::read_one(const std::string& prompt) {
  if (!is_terminal_) {
    std::string line;
    if (!std::getline(std::cin, line)) return std::nullopt;
    return line;
  }
  while (true) {
    std::fflush(stdout);
    const std::unique_ptr<char, void (*)(void*)> line(::readline(prompt.c_str()), std::free);
    if (interrupt_.take()) {
      fmt::print("\n");
      continue;
    }
    if (!line) return std::nullopt;
    if (line.get()[0] != '\0') add_history(line.get());
    return line.get();
  }
}

std::optional<std::string> LineEditor::read(const std::string& prompt) {
  auto line = read_one(prompt);
  while (line && line->ends_with('\\')) {
    line->back() = '\n';
    const auto more = read_one("… ");
    if (!more) break;
    *line += *more;
  }
  return line;
}

}  // namespace retort
