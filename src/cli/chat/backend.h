// Who answers a chat: a model in this process, or a server.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "text/chat_template.h"

namespace retort {

struct ChatSampling {
  std::optional<float> temperature, top_p;
  std::optional<int> max_tokens;
  std::optional<int64_t> seed;
};

struct ChatStats {
  int prompt_tokens = 0, cached_tokens = 0, answer_tokens = 0;
  double seconds_to_first = 0, seconds = 0;
  std::string finish_reason;  // "stop", "length", "repetition", "abort"
};

// The two kinds of text of an answer as they come.
struct ChatSink {
  std::function<void(std::string_view)> on_reasoning, on_content;
};

class ChatBackend {
 public:
  virtual ~ChatBackend() = default;
  virtual std::string model_name() const = 0;
  // Answers `messages` (OpenAI's shape); `stop` ends it early, with what has come so far.
  virtual Result<ChatStats> answer(const Json& messages, const ChatSink& sink, const std::atomic<bool>& stop) = 0;
};

struct RemoteChatOptions {
  std::string url;      // "http://127.0.0.1:8000", with or without "/v1"
  std::string api_key;  // empty: none
  std::string model;    // empty: the first that the server lists
  ChatSampling sampling;
};
// Any server with OpenAI's chat completions.
Result<std::unique_ptr<ChatBackend>> connect_chat(RemoteChatOptions options);

}  // namespace retort
