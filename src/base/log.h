// Log lines for people: time, level, sentence. Use log::info("loaded {} in {:.1f} s", name, seconds).
#pragma once

#include <spdlog/spdlog.h>

#include <string_view>

#include "base/result.h"

namespace retort::log {

using spdlog::debug;
using spdlog::error;
using spdlog::info;
using spdlog::warn;

// Everything goes to stderr, coloured when that is a terminal. Level: debug, info, warning, error. Format: text, or
// json: each line an object {"time", "level", "message"}.
Status init(std::string_view level, std::string_view format = "text");

// For a string in JSON: what must be escaped is, and so are the other control characters.
std::string json_escaped(std::string_view text);

}  // namespace retort::log
