// Files of /proc and /sys that hold one number.
#pragma once

#include <cstdint>
#include <fstream>
#include <optional>
#include <string>

namespace retort {

// Nothing where the file is missing or begins with a word ("max") or a negative number ("-1").
inline std::optional<uint64_t> read_number(const std::string& path) {
  std::ifstream in(path);
  int64_t value = 0;
  if (in >> value && value >= 0) return static_cast<uint64_t>(value);
  return std::nullopt;
}

}  // namespace retort
