// What is kept of responses so that a later request may name them: the newest, within limits of number and size. And
// those that run, so that they can be cancelled. Text workers read conversations; the rest is the I/O thread's.
#pragma once

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

  // `conversation`: all its messages with the answer, for a response that goes on with it. Replaces what has that id;
  // the oldest make room.
  void put(const std::string& id, const Json& response, const Json& conversation);
  void remove(const std::string& id);
  std::optional<Json> response(const std::string& id) const;
  std::optional<Json> conversation(const std::string& id) const;

  void begin(const std::string& id, std::function<void()> cancel) { running_[id] = std::move(cancel); }
  void end(const std::string& id) { running_.erase(id); }
  bool knows(const std::string& id) const;   // it is kept, or runs
  bool cancel(const std::string& id) const;  // false: no such one runs

 private:
  struct Entry {
    std::string response, conversation;  // as text: it takes less room
    size_t num_bytes() const { return response.size() + conversation.size(); }
  };
  void forget(const std::string& id);

  const size_t max_entries_, max_bytes_;
  mutable std::mutex mutex_;  // guards what follows
  std::unordered_map<std::string, Entry> entries_;
  std::deque<std::string> order_;  // oldest first
  size_t num_bytes_ = 0;

  std::unordered_map<std::string, std::function<void()>> running_;
};

}  // namespace retort::responses
