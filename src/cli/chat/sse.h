// Server-sent events (WHATWG HTML, "Server-sent events"): the data of each event, from bytes as they come.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace retort {

class SseParser {
 public:
  static constexpr size_t kMaxEventBytes = 16 << 20;

  // The data of the events that are complete now; lines of one event are joined by line breaks. Error kTooLarge: one
  // event, or a line, is over kMaxEventBytes.
  Result<std::vector<std::string>> push(std::string_view bytes);

 private:
  void end_line(std::vector<std::string>& events);

  std::string line_, data_;
  bool has_data_ = false, skip_line_feed_ = false;
};

}  // namespace retort
