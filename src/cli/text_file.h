// Small files that a flag names.
#pragma once

#include <string>

#include "base/result.h"

namespace retort {

// All of it. The message is the reason alone: "no such file", "is a folder"; the caller says whose file it is.
Result<std::string> read_text_file(const std::string& path);

}  // namespace retort
