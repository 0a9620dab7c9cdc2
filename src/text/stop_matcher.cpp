#include "text/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace retort {
namespace {

// The longest end of `text` that is the beginning of `stop`, short of all of it.
size_t begun(std::string_view text, std::string_view stop) {
  for (size_t length = std::min(text.size(), stop.size() - 1); length > 0; --length)
    if (text.ends_with(stop.substr(0, length))) return length;
  return 0;
}

}  // namespace

StopMatcher::StopMatcher(std::vector<std::string> stops, bool include_in_output)
    : stops_(std::move(stops)), include_(include_in_output) {
  std::erase(stops_, "");
}

std::string StopMatcher::push(std::string_view text, bool may_stop) {
  if (matched_) return {};
  const size_t passed = held_.size() + 1;  // one that ends before here was
  held_ += text;
  const std::string* first = nullptr;
  size_t begin = 0, end = 0;
  for (const std::string& stop : stops_) {
    const size_t at = held_.find(stop, passed > stop.size() ? passed - stop.size() : 0);
    if (!may_stop || at == std::string::npos) continue;
    const size_t stop_end = at + stop.size();
    if (first != nullptr && (stop_end > end || (stop_end == end && at >= begin))) continue;
    first = &stop;
    begin = at;
    end = stop_end;
  }
  std::string shown;
  if (first != nullptr) {
    matched_ = *first;
    shown = held_.substr(0, include_ ? end : begin);
    held_.clear();
    return shown;
  }
  size_t keep = 0;
  for (const std::string& stop : stops_) keep = std::max(keep, begun(held_, stop));
  shown = held_.substr(0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
  return shown;
}

std::string StopMatcher::finish() { return std::exchange(held_, {}); }

}  // namespace retort
