// Which build of the program runs.
#pragma once

#include <string>

namespace retort {

// The linker's hash over the running program (NT_GNU_BUILD_ID) in hexadecimal; empty where it was linked without.
std::string build_id();

}  // namespace retort
