#include "text/tools/tool_parser.h"

#include <algorithm>
#include <utility>

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
      if (!end_of_call_.empty()) step = skip_end_of_call();
      if (step == Step::kGoOn && is_after_call_) step = skip_closing_marks();
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
  if (has_frame_alone())
    end_call(held_.size());
  else
    say(held_.size());
  return Step::kGoOn;
}

ToolCallParser::Step ToolCallParser::read_call() {
  if (bound_) return read_bound_call();
  if (is_ending_ && has_frame_alone()) {
    end_call(held_.size());
    return Step::kGoOn;
  }
  const CallHead head = read_head(format_, held_);
  if (head.state == CallHead::State::kNone) return refuse_call(1);
  if (binding_ != CallBinding::kNone && !json_) {
    CallHead bound = read_bound_head(format_, held_, *names_);
    if (bound.state == CallHead::State::kMore && !is_ending_) return Step::kWait;
    if (bound.state == CallHead::State::kJson) {
      bound_ = std::move(bound);
      return Step::kGoOn;
    }
  }
  if (head.state == CallHead::State::kMore) return is_ending_ ? refuse_call(1) : Step::kWait;
  return read_free_call(head);
}

ToolCallParser::Step ToolCallParser::read_free_call(const CallHead& head) {
  if (!json_) json_.emplace();
  const JsonScanner::State state = json_->scan(std::string_view(held_).substr(head.json_at));
  if (state == JsonScanner::State::kInvalid) return refuse_call(1);
  if (state == JsonScanner::State::kMore) return is_ending_ ? refuse_cut_call() : Step::kWait;
  const size_t end = head.json_at + json_->end();
  auto call = make_call(head, std::string_view(held_).substr(head.json_at, json_->end()));
  if (!call || !is_known(call->name)) return refuse_call(end);
  pieces_.emplace_back(ToolCallPart{std::move(call->name), std::move(call->arguments)});
  is_fence_open_ = std::string_view(held_).substr(0, head.json_at).find(kFence) != std::string_view::npos;
  end_call(end);
  return Step::kGoOn;
}

ToolCallParser::Step ToolCallParser::read_bound_call() {
  if (!json_) json_.emplace();
  const JsonScanner::State state = json_->scan(std::string_view(held_).substr(bound_->json_at));
  if (state == JsonScanner::State::kComplete) {
    const std::string_view arguments = std::string_view(held_).substr(bound_->json_at, json_->end());
    if (binding_ == CallBinding::kWhole && !make_call(*bound_, arguments))
      return refuse_call(bound_->json_at + json_->end());
    tell_arguments(json_->end(), true);
    end_of_call_ = call_frame(format_, bound_->name).after;
    is_fence_open_ = false;
    end_call(bound_->json_at + json_->end());
    return Step::kGoOn;
  }
  const bool is_cut = is_ending_ || state == JsonScanner::State::kInvalid;
  if (binding_ == CallBinding::kWhole) return is_cut ? refuse_cut_call() : Step::kWait;
  tell_arguments(json_->end(), false);
  if (!is_cut) return Step::kWait;
  end_call(bound_->json_at + json_->end());
  return Step::kGoOn;
}

// `end`: of what has come of the arguments.
void ToolCallParser::tell_arguments(size_t end, bool is_last) {
  const std::string_view arguments = std::string_view(held_).substr(bound_->json_at, end);
  ToolCallPart part{num_told_ == 0 ? bound_->name : "", compactor_.push(arguments.substr(num_told_)), is_last};
  if (is_last || !part.arguments.empty()) pieces_.emplace_back(std::move(part));
  num_told_ = end;
}

// It takes so many bytes of what is held.
void ToolCallParser::end_call(size_t length) {
  held_.erase(0, length);
  space_.clear();
  json_.reset();
  bound_.reset();
  compactor_ = {};
  num_told_ = 0;
  is_in_call_ = has_said_ = false;
  is_after_call_ = true;
}

ToolCallParser::Step ToolCallParser::skip_end_of_call() {
  const size_t length = static_cast<size_t>(std::ranges::mismatch(held_, end_of_call_).in1 - held_.begin());
  held_.erase(0, length);
  end_of_call_.erase(0, length);
  if (held_.empty()) return Step::kWait;
  end_of_call_.clear();
  return Step::kGoOn;
}

// What looked like a call is content, at least so much of it.
ToolCallParser::Step ToolCallParser::refuse_call(size_t length) {
  json_.reset();
  bound_.reset();
  is_in_call_ = false;
  say(length);
  return Step::kGoOn;
}

ToolCallParser::Step ToolCallParser::refuse_cut_call() {
  return refuse_call(is_ending_ && ++num_retries_ > kMostRetries ? held_.size() : 1);
}

bool ToolCallParser::has_frame_alone() const { return must_call_ && is_frame_alone(format_, held_, *names_); }

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
