#include "cli/chat/sse.h"

namespace retort {

Result<std::vector<std::string>> SseParser::push(std::string_view bytes) {
  std::vector<std::string> events;
  for (const char c : bytes) {
    const bool second_half = skip_line_feed_ && c == '\n';  // of CR LF
    skip_line_feed_ = c == '\r';
    if (second_half) continue;
    if (c == '\n' || c == '\r')
      end_line(events);
    else
      line_ += c;
    if (line_.size() + data_.size() > kMaxEventBytes)
      return fail(ErrorKind::kTooLarge, "an event of the answer is over {} MB", kMaxEventBytes >> 20);
  }
  return events;
}

void SseParser::end_line(std::vector<std::string>& events) {
  if (line_.empty()) {
    if (has_data_) events.push_back(std::move(data_));
    data_.clear();
    has_data_ = false;
  } else if (line_.starts_with("data:")) {
    const size_t begin = line_.size() > 5 && line_[5] == ' ' ? 6 : 5;
    if (has_data_) data_ += '\n';
    data_.append(line_, begin);
    has_data_ = true;
  }
  line_.clear();
}

}  // namespace retort
