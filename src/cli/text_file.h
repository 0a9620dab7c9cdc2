// Small files that a flag names, and streams read as they are.
#pragma once

#include <istream>
#include <string>
#include <string_view>

#include "base/result.h"

namespace retort {

inline constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";  // files of Windows may begin with it

// All of it, up to 256 MiB. The message is the reason alone: "no such file", "is a folder"; the caller says whose file
// it is.
Result<std::string> read_text_file(const std::string& path);
Result<std::string> read_text(std::istream& stream);

}  // namespace retort
