// retort chat: a conversation in the terminal.
#include <unistd.h>

#include <iostream>

#include "base/log.h"
#include "base/visible.h"
#include "cli/chat/line_editor.h"
#include "cli/chat/local_backend.h"
#include "cli/chat/session.h"
#include "cli/command.h"
#include "cli/hub/model_cache.h"
#include "cli/model_flags.h"
#include "cli/ranges.h"
#include "text/unicode.h"

namespace retort {
namespace {

struct ChatOptions {
  ModelFlags model;
  RemoteChatOptions remote;
  ChatSampling sampling;
  std::string system, reasoning = "auto";
};

Result<std::unique_ptr<ChatBackend>> open_backend(ChatOptions& options) {
  if (options.model.seed) options.sampling.seed = static_cast<int64_t>(*options.model.seed);
  if (!options.remote.url.empty()) {
    options.remote.sampling = options.sampling;
    options.remote.model = options.model.model_argument.empty() ? options.model.model : options.model.model_argument;
    return connect_chat(options.remote);
  }
  RETORT_TRY(log::init("warning"));
  RETORT_ASSIGN(auto chosen, choose_model(options.model));
  chosen.options.engine.max_num_seqs = 1;
  if (isatty(STDERR_FILENO) != 0) fmt::print(stderr, "loading {} …\n", visible_line(chosen.name));
  RETORT_ASSIGN(auto llm, Llm::load(chosen.options));
  if (llm->chat_template() == nullptr)
    return fail(ErrorKind::kUnsupported,
                "[chat] {} {}: nothing tells where a question ends and an answer begins. --chat-template gives it one: "
                "chatml, llama3, deepseek-r1 or a Jinja file, as the model was trained",
                chosen.name, llm->chat_fault());
  return chat_with(std::move(llm), {chosen.name, chosen.force_thinking, options.sampling});
}

Result<int> chat(ChatOptions& options) {
  if (const size_t valid = valid_utf8_prefix(options.system); valid != options.system.size())
    return fail(ErrorKind::kBadUsage, "[chat] --system: expected UTF-8, byte {} is 0x{:02x}", valid,
                static_cast<unsigned char>(options.system[valid]));
  RETORT_ASSIGN(const auto backend, open_backend(options));
  Interrupt interrupt;
  const auto cache = cache_folder();
  LineEditor editor(interrupt, cache ? *cache / "chat_history" : "");
  const auto style = style_for(STDOUT_FILENO);
  const bool show_reasoning =
      options.reasoning == "show" || (options.reasoning == "auto" && isatty(STDOUT_FILENO) != 0);
  ChatSession session(*backend, interrupt, {style, show_reasoning, isatty(STDOUT_FILENO) != 0});
  session.set_system(options.system);
  if (editor.is_terminal())
    fmt::print("{}{} · /help lists commands, Ctrl-D leaves{}\n", style.dim, visible_line(backend->model_name()),
               style.reset);
  // With nobody at the terminal to go on, Ctrl-C is meant for all questions.
  const auto is_ended = [&] { return !editor.is_terminal() && (interrupt.flag() || session.was_stopped()); };
  while (!is_ended()) {
    const auto line = editor.read("> ");
    if (!line || is_ended() || !session.take_line(*line)) break;
  }
  if (is_ended()) Interrupt::end_program();
  RETORT_TRY(editor.status());
  // With nobody at the terminal the exit code says whether the last question was answered.
  return editor.is_terminal() || !session.has_failed() ? kDone : kFailed;
}

}  // namespace

RunCommand add_chat_command(CLI::App& app) {
  auto options = std::make_shared<ChatOptions>();
  add_model_flags(app, options->model);
  app.add_option("--url", options->remote.url,
                 "Talk to this server (http://127.0.0.1:8000, or any with OpenAI's API) instead of loading a model; "
                 "MODEL is then one of its names")
      ->check(not_empty("an address"))
      ->group("Server");
  app.add_option("--api-key", options->remote.api_key, "Its key")->envname("OPENAI_API_KEY")->group("Server");
  app.add_option("--system", options->system, "A system message")->group("Chat");
  app.add_option("--temperature", options->sampling.temperature, "0: always the likeliest token")
      ->check(between(0, 2))
      ->default_str("the model's own")
      ->group("Chat");
  app.add_option("--top-p", options->sampling.top_p,
                 "Choose among the likeliest tokens that together have this probability")
      ->check(between(0, 1))
      ->default_str("the model's own")
      ->group("Chat");
  app.add_option("--max-tokens", options->sampling.max_tokens, "Longest answer")
      ->check(at_least(1))
      ->default_str("what the context leaves")
      ->group("Chat");
  app.add_option("--reasoning", options->reasoning, "What the model thinks: show, hide, or auto (shown on a terminal)")
      ->check(CLI::IsMember({"auto", "show", "hide"}))
      ->capture_default_str()
      ->group("Chat");
  app.footer(
      "Reads questions line by line, also from a pipe:  echo 'Name three metals.' | retort chat smollm2-135m\n"
      "Ctrl-C stops an answer; with questions from a pipe it ends the program.");
  return [options] {
    const auto code = chat(*options);
    return code ? *code : report(code.error());
  };
}

}  // namespace retort
