// Text from elsewhere (a model's file, a server, a hub) on its way to a terminal, which would obey the escape sequences
// in it: colour, retitle, overwrite, even answer. Control characters are shown as what they are instead.
#pragma once

#include <string>
#include <string_view>

namespace retort {

// Control characters (C0, DEL and C1, as bytes or in UTF-8) but line break and tab become "\x1b", those that reorder
// text "\u202e"; all else stays.
std::string visible(std::string_view text);
// The same for what stands in one line: a line break becomes "\n", a tab "\t".
std::string visible_line(std::string_view text);

}  // namespace retort
