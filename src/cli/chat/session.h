// One conversation: its messages, the slash commands, and how answers look.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "cli/chat/backend.h"
#include "cli/chat/interrupt.h"
#include "cli/terminal.h"

namespace retort {

struct ChatLook {
  Style style;  // of standard output
  bool show_reasoning = true;
  bool is_terminal = false;  // answers show control characters; a pipe or file gets the text as it is
};

class ChatSession {
 public:
  ChatSession(ChatBackend& backend, Interrupt& interrupt, ChatLook look)
      : backend_(backend), interrupt_(interrupt), look_(look) {}

  void set_system(std::string text) { system_ = std::move(text); }
  // A slash command or something for the model. False when the person wants to leave.
  bool take_line(const std::string& line);
  bool has_failed() const { return has_failed_; }    // the last answer ended in an error
  bool was_stopped() const { return was_stopped_; }  // the last answer was, by Ctrl-C

  Json messages() const;  // with the system message first

 private:
  void say(std::string_view text) const;
  void answer();
  void run_command(std::string_view name, std::string_view argument);
  void save(std::string path);
  void print_stats() const;

  ChatBackend& backend_;
  Interrupt& interrupt_;
  ChatLook look_;
  std::string system_;
  Json turns_ = Json::array();
  ChatStats last_;
  int num_answers_ = 0, total_prompt_tokens_ = 0, total_answer_tokens_ = 0;
  std::set<std::string> may_be_replaced_;  // files that /save has written, or that it was asked for twice
  bool wants_to_leave_ = false, has_failed_ = false, was_stopped_ = false;
};

}  // namespace retort
