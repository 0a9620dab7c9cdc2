// JSON that comes in pieces, without the white space between its parts. One text's, used by one thread at a time.
#pragma once

#include <string>
#include <string_view>

namespace retort {

class JsonCompactor {
 public:
  std::string push(std::string_view text);

 private:
  bool is_string_ = false, is_escaped_ = false;
};

}  // namespace retort
