// What commands say to the person at the terminal.
#pragma once

#include "base/result.h"

namespace retort {

// The exit codes of every command.
inline constexpr int kDone = 0, kFailed = 1, kWrongUse = 2;

// Prints "retort: message" to stderr, its control characters made visible; returns kWrongUse for kBadUsage, else
// kFailed.
int report(const Error& error);

bool is_plain_terminal();  // TERM says that escape codes mean nothing to the terminal, or says nothing

// Escape codes when `fd` is a terminal that knows them and NO_COLOR is not set, else empty strings.
struct Style {
  const char* dim = "";
  const char* bold = "";
  const char* reset = "";
};
Style style_for(int fd);

}  // namespace retort
