// What flags may be, refused as "expected 1 or more, got 0". (CLI11's own checks print their bounds in full,
// 300 digits for a double's.)
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/cpu.h"

namespace retort {

inline CLI::Validator between(double least, double most) {
  return CLI::Validator(
      [=](std::string& text) -> std::string {
        double value = 0;
        if (CLI::detail::lexical_cast(text, value) && value >= least && value <= most && std::isfinite(value))
          return "";
        if (most == std::numeric_limits<double>::infinity())
          return fmt::format("expected {} or more, got {}", least, text);
        return fmt::format("expected {} to {}, got {}", least, most, text);
      },
      "");
}

// Threads beyond the CPUs only wait for each other.
inline CLI::Validator thread_count() {
  return CLI::Validator(
      [](std::string& text) -> std::string {
        int value = 0;
        const int most = num_usable_cpus();
        if (CLI::detail::lexical_cast(text, value) && value >= 1 && value <= most) return "";
        return fmt::format("expected 1 to {}, the CPUs this process may use, got {}", most, text);
      },
      "");
}

// what: "a key".
inline CLI::Validator not_empty(std::string what) {
  return CLI::Validator(
      [what = std::move(what)](std::string& text) {
        return text.empty() ? fmt::format("expected {}, got an empty one", what) : "";
      },
      "");
}

// what: "a name without a port".
inline CLI::Validator such(bool (*is_such)(std::string_view), std::string what) {
  return CLI::Validator(
      [is_such, what = std::move(what)](std::string& text) {
        return is_such(text) ? "" : fmt::format("expected {}, got '{}'", what, text);
      },
      "");
}

inline CLI::Validator at_least(double least) { return between(least, std::numeric_limits<double>::infinity()); }

// "1,,2" has three items. (CLI11's own delimiter passes over the empty ones.)
inline std::vector<std::string> comma_separated(std::string_view text) {
  std::vector<std::string> items;
  while (true) {
    const size_t comma = text.find(',');
    items.emplace_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return items;
    text.remove_prefix(comma + 1);
  }
}

inline CLI::Validator each_item(CLI::Validator check) {
  return CLI::Validator(
      [check = std::move(check)](std::string& text) -> std::string {
        for (std::string& item : comma_separated(text)) {
          if (item.empty()) return fmt::format("expected no empty item, got '{}'", text);
          if (std::string fault = check(item); !fault.empty()) return fault;
        }
        return "";
      },
      "");
}

}  // namespace retort
