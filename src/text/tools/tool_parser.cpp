#include "text/tools/tool_parser.h"

#include <algorithm>
#include <utility>

#include "text/tools/call_syntax.h"

namespace retort {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr int kMostRetries = 64;  // of a text that has ended: each may look at all of it

}  // namespace

std::vector<ToolPiece> ToolCallParser::push(std::string_view text) {
  held_ += text;
  run();
  return std::exchange(pieces_, {});
}

std::vector<ToolPiece> ToolCallParser::finish() {
  is_ending_ = true;
  run();
  if (!is_after_call_ && !space_.empty()) pieces_.emplace_back(std::exchange(space_, {}));
  return std::exchange(pieces_, {});
}

void ToolCallParser::run() {
  while (!held_.empty()) {
    Step step = Step::kGoOn;
    if (is_in_call_) {
      step = read_call();
    } else {
      if (is_after_call_) step = skip_closing_marks();
      if (step == Step::kGoOn) step = read_content();
    }
    if (step == Step::kWait) return;
  }
}

ToolCallParser::Step ToolCallParser::skip_closing_marks() {
  while (true) {
    const size_t first = std::min(held_.find_first_not_of(kSpace), held_.size());
    const std::string_view rest = std::string_view(held_).substr(first);
    bool may_come = false;
    size_t length = 0;
    for (const std::string_view mark : closing_marks(format_)) {
      if (mark == kFence && !is_fence_open_) continue;
      if (rest.starts_with(mark)) length = mark.size();
      may_come |= mark.starts_with(rest);
    }
    if (length == 0) return may_come && !is_ending_ ? Step::kWait : Step::kGoOn;
    if (rest.starts_with(kFence)) is_fence_open_ = false;
    held_.erase(0, first + length);
  }
}

ToolCallParser::Step ToolCallParser::read_content() {
  const auto opening = find_opening(format_, held_, !has_said_);
  say(opening ? opening->at : held_.size());
  if (!opening) return Step::kGoOn;
  if (opening->is_whole) {
    is_in_call_ = true;
    return Step::kGoOn;
  }
  if (!is_ending_) return Step::kWait;
  say(held_.size());
  return Step::kGoOn;
}

ToolCallParser::Step ToolCallParser::read_call() {
  const CallHead head = read_head(format_, held_);
  if (head.state == CallHead::State::kNone) return refuse_call(1);
  if (head.state == CallHead::State::kMore) return is_ending_ ? refuse_call(1) : Step::kWait;
  if (!json_) json_.emplace();
  const JsonScanner::State state = json_->scan(std::string_view(held_).substr(head.json_at));
  if (state == JsonScanner::State::kInvalid) return refuse_call(1);
  if (state == JsonScanner::State::kMore) {
    if (!is_ending_) return Step::kWait;
    return refuse_call(++num_retries_ > kMostRetries ? held_.size() : 1);
  }
  const size_t end = head.json_at + json_->end();
  auto call = make_call(head, std::string_view(held_).substr(head.json_at, json_->end()));
  if (!call || !is_known(call->name)) return refuse_call(end);
  pieces_.emplace_back(std::move(*call));
  is_fence_open_ = std::string_view(held_).substr(0, head.json_at).find(kFence) != std::string_view::npos;
  held_.erase(0, end);
  space_.clear();
  json_.reset();
  is_in_call_ = has_said_ = false;
  is_after_call_ = true;
  return Step::kGoOn;
}

// What looked like a call is content, at least so much of it.
ToolCallParser::Step ToolCallParser::refuse_call(size_t length) {
  json_.reset();
  is_in_call_ = false;
  say(length);
  return Step::kGoOn;
}

void ToolCallParser::say(size_t length) {
  const std::string_view text = std::string_view(held_).substr(0, length);
  const size_t end = text.find_last_not_of(kSpace) + 1;
  if (end > 0) {
    space_ += text.substr(0, end);
    if (!pieces_.empty() && std::holds_alternative<std::string>(pieces_.back()))
      std::get<std::string>(pieces_.back()) += space_;
    else
      pieces_.emplace_back(space_);
    space_.clear();
    has_said_ = true;
    is_after_call_ = false;
  }
  space_ += text.substr(end);
  held_.erase(0, length);
}

bool ToolCallParser::is_known(std::string_view name) const {
  return std::find(names_->begin(), names_->end(), name) != names_->end();
}

}  // namespace retort
