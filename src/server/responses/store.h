// What is kept of responses so that a later request may name them: the newest, within limits of number and size. And
// those that run, so that they can be cancelled. Text workers read conversations; the rest is the I/O thread's.
#pragma once

#include <fmt/format.h>

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "text/chat_template.h"

namespace retort::responses {

class ResponseStore {
 public:
  explicit ResponseStore(size_t max_entries = 1000, size_t max_bytes = 64u << 20)
      : max_entries_(max_entries), max_bytes_(max_bytes) {}

  // What a response is called here: clients with other API keys do not find it under its id.
  static std::string name_of(std::optional<size_t> key, std::string_view id) {
    return fmt::format("{}/{}", key ? std::to_string(*key) : "", id);
  }

  // `conversation`: all its messages with the answer, for a response that goes on with it. Replaces what has that name;
  // the oldest make room.
  void put(const std::string& name, const Json& response, const Json& conversation);
  void remove(const std::string& name);
  std::optional<Json> response(const std::string& name) const;
  std::optional<Json> conversation(const std::string& name) const;

  // `cancel` says whether there was anything left to end.
  void begin(const std::string& name, std::function<bool()> cancel) { running_[name] = std::move(cancel); }
  void end(const std::string& name) { running_.erase(name); }
  bool knows(const std::string& name) const;   // it is kept, or runs
  bool cancel(const std::string& name) const;  // false: no such one runs, or it has all that it will have

 private:
  struct Entry {
    std::string response, conversation;  // as text: it takes less room
    size_t num_bytes() const { return response.size() + conversation.size(); }
  };
  void forget(const std::string& name);

  const size_t max_entries_, max_bytes_;
  mutable std::mutex mutex_;  // guards what follows
  std::unordered_map<std::string, Entry> entries_;
  std::deque<std::string> order_;  // oldest first
  size_t num_bytes_ = 0;

  std::unordered_map<std::string, std::function<bool()>> running_;
};

}  // namespace retort::responses
