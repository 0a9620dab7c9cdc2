#include "cli/chat/line_editor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <langinfo.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/log.h"
#include "cli/terminal.h"
#include "cli/text_file.h"

namespace retort {
namespace {

constexpr int kMaxHistory = 1000;
constexpr const char* kMarkPastes = "\x1b[?2004h";  // the terminal then sends ESC [200~ and ESC [201~ around a paste
constexpr const char* kDoNotMark = "\x1b[?2004l";
constexpr std::wstring_view kPasteEnd = L"\x1b[201~";

// Keys that libedit does not know by itself, as terminals send them.
constexpr std::array<std::pair<const char*, const char*>, 11> kKeys = {{{"\\e[200~", "retort-paste"},
                                                                        {"^R", "em-inc-search-prev"},
                                                                        {"\\e[1~", "ed-move-to-beg"},
                                                                        {"\\e[7~", "ed-move-to-beg"},
                                                                        {"\\e[H", "ed-move-to-beg"},
                                                                        {"\\e[4~", "ed-move-to-end"},
                                                                        {"\\e[8~", "ed-move-to-end"},
                                                                        {"\\e[F", "ed-move-to-end"},
                                                                        {"\\e[3~", "ed-delete-next-char"},
                                                                        {"\\e[1;5C", "em-next-word"},
                                                                        {"\\e[1;5D", "ed-prev-word"}}};

// Called at the beginning of a paste: puts it in the line, breaks and all; the Enter key still ends the line.
unsigned char take_paste(EditLine* editor, int) {
  std::wstring text;
  while (!text.ends_with(kPasteEnd)) {
    wchar_t next = 0;
    if (el_wgetc(editor, &next) != 1) return CC_EOF;
    text += next;
  }
  text.resize(text.size() - kPasteEnd.size());
  std::ranges::replace(text, L'\r', L'\n');  // as terminals send the breaks of what is pasted
  while (text.ends_with(L'\n')) text.pop_back();
  if (!text.empty() && el_winsertstr(editor, text.c_str()) != 0) return CC_ERROR;
  return CC_REFRESH;
}

// libedit counts characters by the locale, and drops those it does not have. Containers mostly have none set, and what
// is printed here is UTF-8 whatever is set.
void use_utf8() {
  std::setlocale(LC_CTYPE, "");
  if (std::string_view(nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
}

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

// To append to, made where it is not there, and locked against other chats until it is closed. Null: none is to be had,
// or it is no file of lines (/dev/null, a pipe).
File open_history(const std::filesystem::path& path) {
  if (path.empty()) return nullptr;
  std::error_code ignored;
  std::filesystem::create_directories(path.parent_path(), ignored);
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return nullptr;
  File file(::fdopen(fd, "a"));
  RETORT_CHECK(file != nullptr);
  struct stat status{};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return nullptr;
  ::flock(fd, LOCK_EX);
  std::fseek(file.get(), 0, SEEK_END);  // H_SAVE_FP begins an empty file with libedit's mark
  return file;
}

}  // namespace

LineEditor::LineEditor(Interrupt& interrupt, std::filesystem::path history)
    : interrupt_(interrupt), history_(std::move(history)), is_terminal_(isatty(STDIN_FILENO) != 0) {
  if (!is_terminal_) return;
  use_utf8();
  marks_pastes_ = !is_plain_terminal();
  guard_.emplace(marks_pastes_ ? kDoNotMark : "");
  lines_.reset(history_init());
  editor_.reset(el_init("retort", stdin, stdout, stderr));
  HistEvent event{};
  ::history(lines_.get(), &event, H_SETSIZE, kMaxHistory);
  ::history(lines_.get(), &event, H_SETUNIQUE, 1);  // the same line twice in a row is kept once
  load_history();
  el_set(editor_.get(), EL_CLIENTDATA, this);
  el_set(editor_.get(), EL_PROMPT, &LineEditor::prompt_of);
  el_set(editor_.get(), EL_EDITOR, "emacs");
  el_set(editor_.get(), EL_SIGNAL, 0);
  el_set(editor_.get(), EL_HIST, ::history, lines_.get());
  el_set(editor_.get(), EL_ADDFN, "retort-paste", "Take what is pasted", &take_paste);
  for (const auto& [key, function] : kKeys) el_set(editor_.get(), EL_BIND, key, function, nullptr);
  el_source(editor_.get(), nullptr);  // ~/.editrc
}

// One that has grown too long is written anew. A file that is no history is somebody else's, and stays as it is.
void LineEditor::load_history() {
  const File file = open_history(history_);
  if (!file || std::ftell(file.get()) == 0) return;
  HistEvent event{};
  const int num_loaded = ::history(lines_.get(), &event, H_LOAD, history_.c_str());
  if (num_loaded < 0) {
    log::warn("{} is no history of a chat: nothing is added to it", history_.string());
    history_.clear();
    return;
  }
  ::fchmod(::fileno(file.get()), 0600);
  if (num_loaded <= kMaxHistory || ::ftruncate(::fileno(file.get()), 0) != 0) return;
  std::fseek(file.get(), 0, SEEK_END);
  ::history(lines_.get(), &event, H_SAVE_FP, file.get());
}

// At once, so that a chat that is killed has kept its lines, and beside those of others.
void LineEditor::keep(const std::string& line) {
  HistEvent event{};
  if (::history(lines_.get(), &event, H_ENTER, line.c_str()) <= 0) return;  // the same again
  const File file = open_history(history_);
  if (!file) return;
  const std::unique_ptr<History, End> one(history_init());
  ::history(one.get(), &event, H_SETSIZE, 1);
  ::history(one.get(), &event, H_ENTER, line.c_str());
  ::history(one.get(), &event, H_SAVE_FP, file.get());
}

Status LineEditor::status() const {
  if (read_error_ == 0) return {};
  return fail(ErrorKind::kIo, "[chat] standard input cannot be read: {}", std::strerror(read_error_));
}

char* LineEditor::prompt_of(EditLine* editor) {
  LineEditor* self = nullptr;
  el_get(editor, EL_CLIENTDATA, &self);
  return self->prompt_.data();
}

std::optional<std::string> LineEditor::read_plain() {
  std::string line;
  const bool is_there = !std::getline(std::cin, line).fail();
  if (std::ferror(stdin) != 0 && read_error_ == 0) read_error_ = errno;
  if (!is_there) return std::nullopt;
  if (std::exchange(is_first_, false) && line.starts_with(kByteOrderMark)) line.erase(0, kByteOrderMark.size());
  if (line.ends_with('\r')) line.pop_back();  // of a CR LF
  return line;
}

std::optional<std::string> LineEditor::read_edited(const std::string& prompt) {
  prompt_ = prompt;
  if (marks_pastes_) fmt::print("{}", kMarkPastes);
  std::fflush(stdout);
  int size = 0;
  const char* text = el_gets(editor_.get(), &size);
  std::string line(text == nullptr ? "" : text, text == nullptr ? 0 : static_cast<size_t>(size));
  if (marks_pastes_) fmt::print("{}", kDoNotMark);
  if (line.empty() || interrupt_.flag()) return std::nullopt;
  if (line.ends_with('\n')) line.pop_back();
  if (!line.empty()) keep(line);
  return line;
}

std::optional<std::string> LineEditor::read(const std::string& prompt) {
  std::string message;
  while (true) {
    const auto line = is_terminal_ ? read_edited(message.empty() ? prompt : "… ") : read_plain();
    if (is_terminal_ && interrupt_.take()) {
      fmt::print("\n");
      message.clear();
      continue;
    }
    if (!line) return message.empty() ? std::nullopt : std::optional(message);
    message += *line;
    if (!message.ends_with('\\')) return message;
    message.back() = '\n';
  }
}

}  // namespace retort
