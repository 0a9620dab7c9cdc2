#include "server/call_binder.h"

#include <algorithm>

namespace retort {

Result<CallBinder> CallBinder::clone() const {
  RETORT_ASSIGN(GrammarMatcher call, call_.clone());
  CallBinder copy(*tokenizer_, mark_, std::move(call));
  if (current_) {
    RETORT_ASSIGN(copy.current_, current_->clone());
  }
  copy.recent_ = recent_;
  return copy;
}

Status CallBinder::read(std::string_view text) {
  recent_ += text;
  const size_t mark = recent_.rfind(mark_);
  if (mark == std::string::npos) {
    recent_.erase(0, recent_.size() - std::min(recent_.size(), mark_.size() - 1));
    return {};
  }
  const std::string rest = std::exchange(recent_, {}).substr(mark + mark_.size());
  return begin_call(rest);
}

// `text`: what the token that ended the mark has behind it.
Status CallBinder::begin_call(std::string_view text) {
  RETORT_ASSIGN(current_, call_.clone());
  for (const TokenId id : tokenizer_->encode(text, {.add_special = false})) {
    if (current_->accept(id)) continue;
    current_.reset();
    break;
  }
  return {};
}

}  // namespace retort
