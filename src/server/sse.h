// Server-sent events.
#pragma once

#include <string>

#include "server/fields/json_input.h"

namespace retort {

inline constexpr std::string_view kEventStream = "text/event-stream; charset=utf-8";
inline constexpr std::string_view kStreamDone = "data: [DONE]\n\n";

// JSON has no line breaks of its own, so one data line holds it.
inline std::string sse_event(const Json& data) { return fmt::format("data: {}\n\n", dump_json(data)); }

}  // namespace retort
