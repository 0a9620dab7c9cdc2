// The parts of a call's text in each format, for the parser. Text is judged by its bytes alone, never by where it was
// cut.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/tools/tool_format.h"

namespace retort {

// Where `text` has a mark that may begin a call, or the end of it may be the beginning of one.
struct Opening {
  size_t at;
  bool is_whole;
};
// None: all of `text` is content. `is_start`: nothing but white space stands before it since the last call.
std::optional<Opening> find_opening(ToolFormat format, std::string_view text, bool is_start);

// What stands between the mark and the call's JSON.
struct CallHead {
  enum class State { kMore, kNone, kJson } state;
  size_t json_at = 0;
  bool is_marked = true;  // else only its own look makes it a call, which must be that of one in every part
  std::string name = {};  // where it stands outside the JSON, which is the arguments alone then
};
// `text` begins with an opening.
CallHead read_head(ToolFormat format, std::string_view text);
// The same of a call that is written as its grammar has it, to one of `names`: json_at is where its arguments begin.
// kNone: it is not.
CallHead read_bound_head(ToolFormat format, std::string_view text, const std::vector<std::string>& names);
// All of `text` is what each call to one of `names` begins with, as its grammar has it: it tells nothing yet.
bool is_frame_alone(ToolFormat format, std::string_view text, const std::vector<std::string>& names);

// The call that a head and a whole JSON object make. None: it has no name, or its arguments are no object.
std::optional<ToolCall> make_call(const CallHead& head, std::string_view json);

// Of a block of code; one that a call's head opens is closed after it.
inline constexpr std::string_view kFence = "```";
// Marks that may follow a call, in any order and number; but for the fence, see there.
const std::vector<std::string_view>& closing_marks(ToolFormat format);

}  // namespace retort
