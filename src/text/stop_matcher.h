// Stop strings over streamed text. Text that may be the beginning of a stop string is held back until it is decided.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace retort {

class StopMatcher {
 public:
  StopMatcher(std::vector<std::string> stops, bool include_in_output);
  // Text that may be shown now. Once a stop string is complete matched() names it and nothing more comes out. Of
  // several the one that is complete first wins; of those that end together the longest. Those that end in `text` are
  // passed over where it may not stop yet.
  std::string push(std::string_view text, bool may_stop = true);
  std::string finish();  // what was held back, when generation ended for another reason
  const std::optional<std::string>& matched() const { return matched_; }

 private:
  std::vector<std::string> stops_;
  bool include_;
  std::string held_;
  std::optional<std::string> matched_;
};

}  // namespace retort
