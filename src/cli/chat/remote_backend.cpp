#include <chrono>

#include "cli/chat/backend.h"
#include "cli/chat/sse.h"
#include "cli/hub/http.h"
#include "text/reasoning_parser.h"

namespace retort {
namespace {

using Seconds = std::chrono::duration<double>;
constexpr size_t kMaxErrorBytes = 64u << 10;
constexpr int kIdleSeconds = 600;  // a long prompt on a busy server may take minutes to its first token

// The message of {"error": {"message": …}}, else the text as it is.
std::string error_text(std::string_view body) {
  const auto json = Json::parse(body, nullptr, false);
  if (json.is_object() && json.contains("error")) {
    const auto& error = json["error"];
    if (error.is_string()) return error.get<std::string>();
    if (error.is_object() && error.contains("message") && error["message"].is_string())
      return error["message"].get<std::string>();
  }
  return std::string(body.substr(0, 500));
}

std::string text_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

int number_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_integer() ? found->get<int>() : 0;
}

// One streamed answer, chunk by chunk.
class Answer {
 public:
  explicit Answer(const ChatSink& sink) : sink_(sink) {}

  Status take(const std::string& data) {
    if (data == "[DONE]") {
      is_whole_ = true;
      return {};
    }
    const auto chunk = Json::parse(data, nullptr, false);
    if (!chunk.is_object())
      return fail(ErrorKind::kIo, "[chat] the server sent a chunk that is not a JSON object: {}", data.substr(0, 200));
    if (chunk.contains("error")) return fail(ErrorKind::kIo, "[chat] the server says: {}", error_text(data));
    if (const auto usage = chunk.find("usage"); usage != chunk.end() && usage->is_object()) read_usage(*usage);
    const auto choices = chunk.find("choices");
    if (choices == chunk.end() || !choices->is_array() || choices->empty() || !choices->front().is_object()) return {};
    const auto& choice = choices->front();
    if (const auto reason = text_at(choice, "finish_reason"); !reason.empty()) {
      stats_.finish_reason = reason;
      is_whole_ = true;
    }
    if (text_at(choice, "stop_reason") == "repetition") stats_.finish_reason = "repetition";  // Retort's guard
    if (const auto delta = choice.find("delta"); delta != choice.end() && delta->is_object()) read_delta(*delta);
    return {};
  }

  bool is_whole() const { return is_whole_; }  // its end was told

  ChatStats finish() {
    show(parser_.finish());
    if (stats_.answer_tokens == 0)
      stats_.answer_tokens = num_chunks_;  // a server without usage sends a token a chunk, mostly
    stats_.seconds = Seconds(std::chrono::steady_clock::now() - start_).count();
    return stats_;
  }

 private:
  void read_usage(const Json& usage) {
    stats_.prompt_tokens = number_at(usage, "prompt_tokens");
    stats_.answer_tokens = number_at(usage, "completion_tokens");
    if (const auto details = usage.find("prompt_tokens_details"); details != usage.end() && details->is_object())
      stats_.cached_tokens = number_at(*details, "cached_tokens");
  }

  void read_delta(const Json& delta) {
    auto reasoning = text_at(delta, "reasoning_content");
    if (reasoning.empty()) reasoning = text_at(delta, "reasoning");
    const auto content = text_at(delta, "content");
    if (reasoning.empty() && content.empty()) return;
    if (num_chunks_++ == 0) stats_.seconds_to_first = Seconds(std::chrono::steady_clock::now() - start_).count();
    // Servers that do not split reasoning off send its tags in the content.
    ReasoningPiece piece = parser_.push(content);
    piece.reasoning = reasoning + piece.reasoning;
    show(piece);
  }

  void show(const ReasoningPiece& piece) {
    if (!piece.reasoning.empty()) sink_.on_reasoning(piece.reasoning);
    if (!piece.content.empty()) sink_.on_content(piece.content);
  }

  const ChatSink& sink_;
  ReasoningParser parser_{false};
  ChatStats stats_;
  int num_chunks_ = 0;
  bool is_whole_ = false;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

class RemoteBackend : public ChatBackend {
 public:
  explicit RemoteBackend(RemoteChatOptions options) : options_(std::move(options)) {
    while (options_.url.ends_with('/')) options_.url.pop_back();
    if (!options_.url.ends_with("/v1")) options_.url += "/v1";
    if (options_.url.find("://") == std::string::npos) options_.url = "http://" + options_.url;
    address_ = without_password(options_.url);
  }

  Status choose_model();
  std::string model_name() const override { return options_.model; }
  Result<ChatStats> answer(const Json& messages, const ChatSink& sink, const std::atomic<bool>& stop) override;

 private:
  std::vector<std::string> headers() const {
    std::vector<std::string> list = {"Content-Type: application/json"};
    if (!options_.api_key.empty()) list.push_back("Authorization: Bearer " + options_.api_key);
    return list;
  }
  std::string request_body(const Json& messages) const;

  RemoteChatOptions options_;
  std::string address_;  // as messages tell it
  HttpClient http_;
};

Status RemoteBackend::choose_model() {
  if (!options_.model.empty()) return {};
  std::string body;
  const auto outcome = http_.send(
      {.url = options_.url + "/models", .headers = headers(), .on_body = [&](const HttpHead&, std::string_view piece) {
         body += piece;
         return body.size() < kMaxErrorBytes * 16;
       }});
  if (!outcome.complete)
    return fail(ErrorKind::kIo, "[chat] {}: {}. Is the server running? Start one with: retort serve", address_,
                outcome.error);
  if (outcome.head.status != 200)
    return fail(ErrorKind::kIo, "[chat] {}/models: status {}: {}", address_, outcome.head.status, error_text(body));
  const auto json = Json::parse(body, nullptr, false);
  if (json.is_object() && json.contains("data") && json["data"].is_array() && !json["data"].empty() &&
      json["data"][0].is_object())
    options_.model = text_at(json["data"][0], "id");
  if (options_.model.empty())
    return fail(ErrorKind::kIo, "[chat] {}/models lists no model; name one with --model", address_);
  return {};
}

std::string RemoteBackend::request_body(const Json& messages) const {
  Json body = {{"model", options_.model},
               {"messages", messages},
               {"stream", true},
               {"stream_options", {{"include_usage", true}}}};
  const auto& sampling = options_.sampling;
  if (sampling.temperature) body["temperature"] = *sampling.temperature;
  if (sampling.top_p) body["top_p"] = *sampling.top_p;
  if (sampling.max_tokens) body["max_tokens"] = *sampling.max_tokens;
  if (sampling.seed) body["seed"] = *sampling.seed;
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<ChatStats> RemoteBackend::answer(const Json& messages, const ChatSink& sink, const std::atomic<bool>& stop) {
  Answer answer(sink);
  SseParser events;
  Status status;
  std::string error_body;
  HttpRequest request{.url = options_.url + "/chat/completions",
                      .headers = headers(),
                      .body = request_body(messages),
                      .idle_seconds = kIdleSeconds,
                      .stop = &stop};
  request.on_body = [&](const HttpHead& head, std::string_view piece) {
    if (head.status != 200) {
      error_body += piece;
      return error_body.size() < kMaxErrorBytes;
    }
    const auto come = events.push(piece);
    if (!come) status = tl::unexpected(come.error());
    for (size_t i = 0; status && i < come->size(); ++i) status = answer.take((*come)[i]);
    return status.has_value();
  };
  const auto outcome = http_.send(request);
  RETORT_TRY(status);
  if (outcome.head.status != 200 && outcome.head.status != 0)
    return fail(ErrorKind::kIo, "[chat] the server says (status {}): {}", outcome.head.status, error_text(error_body));
  if (!outcome.complete && !outcome.stopped) return fail(ErrorKind::kIo, "[chat] {}: {}", address_, outcome.error);
  auto stats = answer.finish();
  if (!outcome.stopped && !answer.is_whole())
    return fail(ErrorKind::kIo, "[chat] {}: the stream ended before the answer did", address_);
  if (outcome.stopped) stats.finish_reason = "abort";
  return stats;
}

}  // namespace

Result<std::unique_ptr<ChatBackend>> connect_chat(RemoteChatOptions options) {
  auto backend = std::make_unique<RemoteBackend>(std::move(options));
  RETORT_TRY(backend->choose_model());
  return backend;
}

}  // namespace retort
