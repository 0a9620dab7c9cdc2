#include "cli/chat/session.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/visible.h"
#include "cli/suggest.h"
#include "text/unicode.h"

namespace retort {
namespace {

constexpr std::string_view kHelp =
    "/system TEXT   what the model is told before anything else; /system: show it; /system off: nothing\n"
    "/reset         forget the conversation and its figures (the system message stays)\n"
    "/save FILE     write the conversation: Markdown, or JSON when FILE ends in .json\n"
    "/stats         tokens and speed of the last answer\n"
    "/quit          leave (or Ctrl-D)\n"
    "Ctrl-C stops an answer. A line that ends in \\ goes on in the next; what is pasted is one message.\n";

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t"), end = text.find_last_not_of(" \t");
  return begin == std::string_view::npos ? "" : text.substr(begin, end - begin + 1);
}

// A slash and a word: "/reset", but neither "/usr/bin" nor "// a comment".
bool is_command(std::string_view word) {
  return word.size() > 1 && word[0] == '/' &&
         std::all_of(word.begin() + 1, word.end(), [](unsigned char c) { return std::isalpha(c) != 0; });
}

// 0, or the errno of what failed: streams' own would be that of whatever they did last.
int write_file(const std::string& path, std::string_view text) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return errno;
  int error = 0;
  if (std::fwrite(text.data(), 1, text.size(), file) != text.size() || std::fflush(file) != 0) error = errno;
  if (std::fclose(file) != 0 && error == 0) error = errno;
  return error;
}

// Dims reasoning and sets it apart from the answer by an empty line.
class Printer {
 public:
  explicit Printer(const ChatLook& look) : look_(look) {}

  void reasoning(std::string_view text) {
    if (!look_.show_reasoning) return;
    if (!in_reasoning_) fmt::print("{}", look_.style.dim);
    in_reasoning_ = true;
    print(text);
  }
  void content(std::string_view text) {
    if (in_reasoning_) fmt::print("{}\n\n", look_.style.reset);
    in_reasoning_ = false;
    print(text);
  }
  void end() {
    fmt::print("{}\n", in_reasoning_ ? look_.style.reset : "");
    std::fflush(stdout);
  }

 private:
  void print(std::string_view text) const {
    fmt::print("{}", look_.is_terminal ? visible(text) : std::string(text));
    std::fflush(stdout);
  }

  const ChatLook& look_;
  bool in_reasoning_ = false;
};

}  // namespace

Json ChatSession::messages() const {
  Json all = Json::array();
  if (!system_.empty()) all.push_back({{"role", "system"}, {"content", system_}});
  all.insert(all.end(), turns_.begin(), turns_.end());
  return all;
}

bool ChatSession::take_line(const std::string& line) {
  const auto text = trimmed(line);
  if (text.empty()) return true;
  if (const size_t valid = valid_utf8_prefix(text); valid != text.size()) {
    // A backend would put U+FFFD in its place, and the model answer another question.
    say(fmt::format("expected UTF-8, byte {} of the line is 0x{:02x}: not sent", valid,
                    static_cast<unsigned char>(text[valid])));
    has_failed_ = true;
    return true;
  }
  const auto command = text.substr(0, text.find_first_of(" \t\n"));
  if (is_command(command)) {
    run_command(command.substr(1), trimmed(text.substr(command.size())));
    return !wants_to_leave_;
  }
  turns_.push_back({{"role", "user"}, {"content", std::string(text)}});
  answer();
  return true;
}

void ChatSession::answer() {
  interrupt_.take();
  Printer printer(look_);
  std::string content;
  const ChatSink sink{[&](std::string_view text) { printer.reasoning(text); },
                      [&](std::string_view text) {
                        content += text;
                        printer.content(text);
                      }};
  const auto stats = backend_.answer(messages(), sink, interrupt_.flag());
  printer.end();
  was_stopped_ = interrupt_.take();
  has_failed_ = !stats;
  if (!stats) {
    turns_.erase(turns_.size() - 1);  // as if it had not been asked, so that it can be tried again
    report(stats.error());
    return;
  }
  if (was_stopped_ && stats->answer_tokens == 0) {
    turns_.erase(turns_.size() - 1);
    return say("(stopped before the answer began; the question is left out of the conversation)");
  }
  // What a model thought is not shown to it again; a stopped answer stays as far as it came.
  turns_.push_back({{"role", "assistant"}, {"content", content}});
  last_ = *stats;
  num_answers_ += 1;
  total_prompt_tokens_ += stats->prompt_tokens;
  total_answer_tokens_ += stats->answer_tokens;
  if (stats->finish_reason == "length")
    say("(the answer ended at its limit of tokens: --max-tokens, or what the context leaves)");
  else if (stats->finish_reason == "repetition")
    say("(the answer was ended: it went round in a circle)");
  else if (stats->finish_reason == "abort" && !was_stopped_)
    say("(the server ended the answer early)");
}

void ChatSession::say(std::string_view text) const {
  fmt::print(stderr, "{}{}{}\n", look_.style.dim, visible(text), look_.style.reset);
}

void ChatSession::run_command(std::string_view name, std::string_view argument) {
  if (name == "quit" || name == "exit") {
    wants_to_leave_ = true;
  } else if (name == "system") {
    if (!argument.empty()) system_ = argument == "off" ? "" : argument;
    say(system_.empty() ? "no system message" : "system: " + system_);
  } else if (name == "reset") {
    turns_ = Json::array();
    last_ = {};
    num_answers_ = total_prompt_tokens_ = total_answer_tokens_ = 0;
    say("the conversation is forgotten");
  } else if (name == "save") {
    save(std::string(argument));
  } else if (name == "stats") {
    print_stats();
  } else if (name == "help") {
    fmt::print(stderr, "{}", kHelp);
  } else {
    say(fmt::format("no command /{}{}; /help lists them", name,
                    did_you_mean(name, {"system", "reset", "save", "stats", "help", "quit"})));
  }
}

void ChatSession::save(std::string path) {
  if (path.empty()) return say("/save needs the name of a file");
  if (const char* home = std::getenv("HOME"); home != nullptr && path.starts_with("~/")) path.replace(0, 1, home);
  std::error_code error;
  if (may_be_replaced_.insert(path).second && std::filesystem::is_regular_file(path, error))
    return say(fmt::format("{} is there already; the same command once more replaces it", path));
  std::string text;
  if (path.ends_with(".json")) {
    text = messages().dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  } else {
    for (const auto& message : messages())
      text += fmt::format("## {}\n\n{}\n\n", message["role"].get<std::string>(), message["content"].get<std::string>());
  }
  if (const int code = write_file(path, text); code != 0)
    return say(fmt::format("{} could not be written: {}", path, std::strerror(code)));
  const auto count = messages().size();
  say(fmt::format("saved {} message{} to {}", count, count == 1 ? "" : "s", path));
}

void ChatSession::print_stats() const {
  if (num_answers_ == 0) return say("no answer yet");
  const double decoding = last_.seconds - last_.seconds_to_first;
  say(fmt::format("model          {}", backend_.model_name()));
  if (last_.prompt_tokens > 0)
    say(fmt::format("last prompt    {} tokens, {} of them cached; first token after {:.2f} s", last_.prompt_tokens,
                    last_.cached_tokens, last_.seconds_to_first));
  else
    say("last prompt    the server did not count it (of an answer that was stopped it does not)");
  say(fmt::format("last answer    {} tokens in {:.1f} s{}", last_.answer_tokens, last_.seconds,
                  decoding > 0 && last_.answer_tokens > 1
                      ? fmt::format(", {:.1f} tokens/s", (last_.answer_tokens - 1) / decoding)
                      : ""));
  say(fmt::format("conversation   {} answer{}, {} prompt and {} answer tokens", num_answers_,
                  num_answers_ == 1 ? "" : "s", total_prompt_tokens_, total_answer_tokens_));
}

}  // namespace retort
