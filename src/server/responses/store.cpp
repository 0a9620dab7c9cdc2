#include "server/responses/store.h"

#include "server/fields/json_input.h"

namespace retort::responses {

void ResponseStore::put(const std::string& name, const Json& response, const Json& conversation) {
  Entry entry{dump_json(response), dump_json(conversation)};
  const std::lock_guard lock(mutex_);
  forget(name);
  num_bytes_ += entry.num_bytes();
  entries_.emplace(name, std::move(entry));
  order_.push_back(name);
  while (order_.size() > 1 && (order_.size() > max_entries_ || num_bytes_ > max_bytes_))
    forget(std::string(order_.front()));
}

void ResponseStore::remove(const std::string& name) {
  const std::lock_guard lock(mutex_);
  forget(name);
}

void ResponseStore::forget(const std::string& name) {
  const auto it = entries_.find(name);
  if (it == entries_.end()) return;
  num_bytes_ -= it->second.num_bytes();
  entries_.erase(it);
  std::erase(order_, name);
}

std::optional<Json> ResponseStore::response(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto it = entries_.find(name);
  if (it == entries_.end()) return std::nullopt;
  return Json::parse(it->second.response);
}

std::optional<Json> ResponseStore::conversation(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto it = entries_.find(name);
  if (it == entries_.end()) return std::nullopt;
  return Json::parse(it->second.conversation);
}

bool ResponseStore::knows(const std::string& name) const {
  if (running_.contains(name)) return true;
  const std::lock_guard lock(mutex_);
  return entries_.contains(name);
}

bool ResponseStore::cancel(const std::string& name) const {
  const auto it = running_.find(name);
  return it != running_.end() && it->second();
}

}  // namespace retort::responses
