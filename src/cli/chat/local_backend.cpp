#include <condition_variable>
#include <deque>
#include <mutex>

#include "cli/chat/local_backend.h"
#include "server/openai/prompt.h"
#include "text/detokenizer.h"
#include "text/reasoning_parser.h"

namespace retort {
namespace {

using Seconds = std::chrono::duration<double>;
constexpr std::chrono::milliseconds kLookForStop{50};

// Events on their way from the engine's thread.
class Inbox {
 public:
  void push(TokenEvent event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    bell_.notify_one();
  }
  // None when nothing has come within kLookForStop.
  std::optional<TokenEvent> pop() {
    std::unique_lock lock(mutex_);
    if (!bell_.wait_for(lock, kLookForStop, [&] { return !events_.empty(); })) return std::nullopt;
    TokenEvent event = std::move(events_.front());
    events_.pop_front();
    return event;
  }

 private:
  std::mutex mutex_;
  std::condition_variable bell_;
  std::deque<TokenEvent> events_;
};

std::string finish_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kRepetition:
      return "repetition";
    case FinishReason::kLength:
      return "length";
    default:
      return "abort";
  }
}

class LocalBackend : public ChatBackend {
 public:
  LocalBackend(std::unique_ptr<Llm> llm, const LocalChatOptions& options)
      : llm_(std::move(llm)), sampling_(options.sampling) {
    model_.id = options.name;
    model_.tokenizer = &llm_->tokenizer();
    model_.chat_template = llm_->chat_template();
    model_.chat_fault = llm_->chat_fault();
    model_.engine = &llm_->engine();
    model_.config = llm_->config();
    model_.max_model_len = llm_->max_model_len();
    model_.force_thinking = options.force_thinking;
    model_.is_reasoning = is_reasoning_model(model_.chat_template);
    model_.control_tokens = ControlTokens(*model_.tokenizer);
  }
  std::string model_name() const override { return model_.id; }
  Result<ChatStats> answer(const Json& messages, const ChatSink& sink, const std::atomic<bool>& stop) override;

 private:
  Result<EngineRequest> make_request(const Json& messages, bool& starts_inside) const;

  std::unique_ptr<Llm> llm_;
  ServedModel model_;
  ChatSampling sampling_;
};

template <class T>
Result<T> as_result(ApiResult<T> result) {
  if (!result) return fail(ErrorKind::kBadInput, "[chat] {}", result.error().message);
  return std::move(*result);
}

Result<EngineRequest> LocalBackend::make_request(const Json& messages, bool& starts_inside) const {
  openai::GenerateRequest wanted;
  wanted.temperature = sampling_.temperature;
  wanted.top_p = sampling_.top_p;
  wanted.max_tokens = sampling_.max_tokens;
  wanted.seed = sampling_.seed;
  ChatTemplateInput input;
  input.messages = messages;
  RETORT_ASSIGN(auto prompt, as_result(openai::build_chat_prompt(model_, std::move(input), false)));
  starts_inside = prompt.starts_inside_reasoning;
  if (const auto fits = openai::fit_prompt(model_, wanted, prompt.tokens); !fits)
    return fail(ErrorKind::kTooLarge, "[chat] {}. /reset begins anew", fits.error().message);
  EngineRequest request;
  RETORT_ASSIGN(request.params, as_result(openai::sampling_params(model_, wanted, prompt.tokens.size())));
  request.prompt = std::move(prompt.tokens);
  return request;
}

Result<ChatStats> LocalBackend::answer(const Json& messages, const ChatSink& sink, const std::atomic<bool>& stop) {
  const auto start = std::chrono::steady_clock::now();
  const auto now = [&] { return Seconds(std::chrono::steady_clock::now() - start).count(); };
  bool starts_inside = false;
  RETORT_ASSIGN(auto request, make_request(messages, starts_inside));
  ChatStats stats;
  stats.prompt_tokens = static_cast<int>(request.prompt.size());
  const auto inbox = std::make_shared<Inbox>();  // the engine may still hold it when an error has ended this call
  request.on_event = [inbox](TokenEvent event) { inbox->push(std::move(event)); };
  RETORT_ASSIGN(const auto id, llm_->engine().submit(std::move(request)));

  Detokenizer detokenizer(llm_->tokenizer());
  ReasoningParser parser(starts_inside);
  const auto show = [&](const ReasoningPiece& piece) {
    if (!piece.reasoning.empty()) sink.on_reasoning(piece.reasoning);
    if (!piece.content.empty()) sink.on_content(piece.content);
  };
  bool cancelled = false;
  while (true) {
    if (stop && !std::exchange(cancelled, true)) llm_->engine().cancel(id);
    const auto event = inbox->pop();
    if (!event) continue;
    if (stats.answer_tokens == 0 && !event->tokens.empty()) stats.seconds_to_first = now();
    stats.answer_tokens += static_cast<int>(event->tokens.size()) + (event->stop_token ? 1 : 0);  // as usage has it
    stats.cached_tokens = event->num_cached_tokens;
    for (const auto& token : event->tokens) show(parser.push(detokenizer.push(token.id)));
    if (!event->finish) continue;
    if (*event->finish == FinishReason::kError) return fail(ErrorKind::kInternal, "[chat] {}", event->error);
    show(parser.push(detokenizer.finish()));
    show(parser.finish());
    stats.finish_reason = finish_name(*event->finish);
    stats.seconds = now();
    return stats;
  }
}

}  // namespace

std::unique_ptr<ChatBackend> chat_with(std::unique_ptr<Llm> llm, const LocalChatOptions& options) {
  return std::make_unique<LocalBackend>(std::move(llm), options);
}

}  // namespace retort
