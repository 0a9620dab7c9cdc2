// The nearest of some known names to one that was mistyped.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace retort {

// The nearest, if one is near enough to be what was meant.
std::optional<std::string> nearest(std::string_view given, const std::vector<std::string>& known);
// " (did you mean 'X'?)", or nothing when none is near.
std::string did_you_mean(std::string_view given, const std::vector<std::string>& known);

}  // namespace retort
