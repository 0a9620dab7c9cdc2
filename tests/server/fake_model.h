// A served model without weights: the real tokenizer classes, chat template and engine over a runner whose answers are
// known.
//   A chat whose last message is "say X" is answered with X. A text is continued through the alphabet: "ab" → "cdef…".
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "../engine/fake_runner.h"
#include "byte_tokenizer.h"
#include "server/served_model.h"

namespace retort::testing {

inline constexpr std::string_view kAnswerMark = "\nA:";
inline constexpr const char* kTemplate =
    "{% for m in messages %}<|user|>{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}A:{% "
    "endif %}"
    "{# <think></think> #}";

// What the model goes on with after `context`.
inline TokenId next_token(std::span<const TokenId> context) {
  std::string text;
  for (const TokenId id : context)
    text += id < 256               ? std::string(1, static_cast<char>(id))
            : id == kThinkToken    ? "<think>"
            : id == kThinkEndToken ? "</think>"
                                   : "";
  const size_t mark = text.rfind(kAnswerMark);
  if (mark == std::string::npos) {
    const char last = text.empty() ? 'z' : text.back();
    return last >= 'a' && last < 'z' ? last + 1 : 'a';
  }
  const size_t say = text.rfind("say ", mark);
  const std::string answer = say == std::string::npos ? "?" : text.substr(say + 4, mark - say - 4);
  const std::string rest = answer.substr(std::min(answer.size(), text.size() - mark - kAnswerMark.size()));
  if (rest.empty()) return kEndToken;
  if (rest.starts_with("<think>")) return kThinkToken;
  if (rest.starts_with("</think>")) return kThinkEndToken;
  return static_cast<unsigned char>(rest[0]);
}

class FakeModel {
 public:
  explicit FakeModel(EngineConfig config = default_config()) : runner_(260, 64, next_token) {
    runner_.before_run = [this](std::span<const ForwardSequence>) {
      std::this_thread::sleep_for(std::chrono::milliseconds(step_ms));
      while (is_held) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      if (dies) throw std::runtime_error("the runner died on purpose");
    };
    engine_ = std::make_unique<Engine>(std::move(config), runner_);
    Result<ChatTemplate> compiled = ChatTemplate::compile(kTemplate, "", "<|end|>");
    RETORT_CHECK(compiled.has_value());
    template_ = std::make_unique<ChatTemplate>(std::move(*compiled));
  }

  static EngineConfig default_config() {
    EngineConfig config;
    config.max_model_len = 256;
    config.stop_tokens = {kEndToken};
    return config;
  }

  ServedModel served() {
    ServedModel model{.id = "fake",
                      .created = 1,
                      .tokenizer = &tokenizer_,
                      .chat_template = template_.get(),
                      .engine = engine_.get(),
                      .config = {},
                      .max_model_len = engine_->config().max_model_len,
                      .kv_cache_dtype = "bf16",
                      .control_tokens = ControlTokens(tokenizer_)};
    model.config.name = "fake-model";
    model.config.hidden_size = FakeRunner::kHiddenSize;
    model.config.temperature = 0.0f;  // unless a request asks otherwise
    return model;
  }

  Engine& engine() { return *engine_; }

  std::atomic<int> step_ms{0};
  std::atomic<bool> is_held{false};  // a step does not end before it is let go
  std::atomic<bool> dies{false};

 private:
  Tokenizer tokenizer_ = byte_tokenizer();
  FakeRunner runner_;
  std::unique_ptr<ChatTemplate> template_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace retort::testing
