#include "server/server.h"

#include <unistd.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <future>

#include "base/log.h"
#include "server/app.h"

namespace retort {

using namespace std::chrono_literals;

namespace {

// Supervisors signal a whole group, and make passes on to its child what both have got: that is one wish, not two.
constexpr auto kSameSignal = 500ms;
constexpr auto kFlushTime = 2s;  // for the last words of answers that were cut off

std::string_view name_of(KvType type) {
  switch (type) {
    case KvType::kF32:
      return "f32";
    case KvType::kBF16:
      return "bf16";
    case KvType::kInt8:
      return "int8";
  }
  return "unknown";
}

ServedModel served_model(Llm& llm, const ServerConfig& config) {
  const std::string& own_name = llm.config().name;
  ModelConfig model = llm.config();
  if (!config.uses_generation_config) {
    model.temperature = 1.0f;
    model.top_p = 1.0f;
    model.top_k = 0;
    model.min_p = 0.0f;
    model.repetition_penalty = 1.0f;
  }
  const std::string template_source = llm.chat_template() != nullptr ? llm.chat_template()->source() : "";
  const auto template_format = tool_format_of_template(template_source);
  const auto asked_format = tool_format_named(config.tool_call_parser);
  const ToolFormat tool_format = asked_format.value_or(template_format.value_or(ToolFormat::kHermes));
  return {.id = !config.served_model_name.empty() ? config.served_model_name
                : own_name.empty()                ? "model"
                                                  : own_name,
          .created = std::time(nullptr),
          .tokenizer = &llm.tokenizer(),
          .chat_template = llm.chat_template(),
          .chat_fault = llm.chat_fault(),
          .engine = &llm.engine(),
          .config = std::move(model),
          .max_model_len = llm.max_model_len(),
          .weight_bytes = llm.weight_bytes(),
          .kv_cache_dtype = std::string(name_of(llm.kv_type())),
          .force_thinking = config.force_thinking,
          .is_reasoning = config.force_thinking || is_reasoning_model(llm.chat_template()),
          .tool_format = tool_format,
          .spells_tools = template_format != tool_format,
          .control_tokens = ControlTokens(llm.tokenizer()),
          .habits = config.habits,
          .trusts_request_templates = config.trusts_request_templates};
}

}  // namespace

struct Server::Impl {
  Impl(ServerConfig given, std::unique_ptr<App> bound)
      : config(std::move(given)), app(std::move(bound)), signals(app->io(), SIGINT, SIGTERM) {
    await_signal();
  }

  void await_signal();
  void await_second_signal(Clock::time_point first);
  void let_signals_end_at_once();
  [[noreturn]] void end_at_once() const;

  ServerConfig config;
  std::unique_ptr<App> app;
  boost::asio::signal_set signals;
  std::atomic<bool> serves = false;
  std::promise<void> asked_to_end;  // while it serves
};

void Server::Impl::await_signal() {
  signals.async_wait([this](boost::system::error_code error, int) {
    if (error) return;
    if (!serves) {
      log::info("ending before the model is loaded");
      end_at_once();
    }
    asked_to_end.set_value();
    await_second_signal(Clock::now());
  });
}

void Server::Impl::await_second_signal(Clock::time_point first) {
  signals.async_wait([this, first](boost::system::error_code error, int) {
    if (error) return;
    if (Clock::now() - first < kSameSignal) return await_second_signal(first);
    log::warn("second signal: ending at once");
    end_at_once();
  });
}

// Once all are answered and no thread waits for signals any more: what is left is to free memory.
void Server::Impl::let_signals_end_at_once() {
  signals.clear();
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, [](int) { std::_Exit(0); });
}

// Whatever the loader or the engine does now, it does not hold up who asks so.
void Server::Impl::end_at_once() const {
  if (!config.uds.empty()) ::unlink(config.uds.c_str());
  std::_Exit(0);
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::bind(ServerConfig config) {
  RETORT_ASSIGN(auto app, App::bind(config));
  return std::unique_ptr<Server>(new Server(std::make_unique<Impl>(std::move(config), std::move(app))));
}

std::string Server::url() const { return impl_->app->url(); }

int Server::serve(Llm& llm) {
  App& app = *impl_->app;
  impl_->serves = true;
  app.set_model(served_model(llm, impl_->config));
  log::info("Retort is ready at {}", url());
  impl_->asked_to_end.get_future().wait();

  const auto grace = impl_->config.shutdown_timeout;
  log::info("shutting down: no new requests, those that run have {} s", grace.count());
  const bool all_finished = app.drain(grace);
  app.refuse_unread();
  llm.engine().stop(0ms);
  if (!all_finished) {
    log::warn("ending the requests that still run");
    app.drain(kFlushTime);
  }
  boost::asio::post(app.io(), [this] { impl_->signals.cancel(); });
  app.shut_down();
  log::info("stopped");
  impl_->let_signals_end_at_once();
  if (app.stop_compiling()) impl_->end_at_once();
  app.stop_reading();  // with the tokenizer of `llm`
  return 0;
}

}  // namespace retort
