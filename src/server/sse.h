// Server-sent events.
#pragma once

#include <string>

#include "server/fields/json_input.h"

namespace retort {

inline constexpr std::string_view kEventStream = "text/event-stream; charset=utf-8";
inline constexpr std::string_view kStreamDone = "data: [DONE]\n\n";

// JSON has no line breaks of its own, so one data line holds it.
inline std::string sse_event(const Json& data) { return fmt::format("data: {}\n\n", dump_json(data)); }

// With a name, which clients of Anthropic's and the responses API go by.
inline std::string sse_event(std::string_view name, const Json& data) {
  return fmt::format("event: {}\ndata: {}\n\n", name, dump_json(data));
}

}  // namespace retort
