// What commands say to the person at the terminal.
#pragma once

#include "base/result.h"

namespace retort {

// Prints "retort: message" to stderr, its control characters made visible; returns the exit code, 2 when what was asked
// is wrong, else 1.
int report(const Error& error);

// Escape codes when `fd` is a terminal and NO_COLOR is not set, else empty strings.
struct Style {
  const char* dim = "";
  const char* bold = "";
  const char* reset = "";
};
Style style_for(int fd);

}  // namespace retort
