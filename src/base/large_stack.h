// For work that recurses as deeply as its input nests.
#pragma once

#include <cstddef>
#include <functional>

#include "base/result.h"

namespace retort {

// Runs `work`, which must not throw, on a thread of its own with a stack of so many bytes, and waits for it.
// kUnavailable: the machine gives no such thread now.
Status run_with_stack(size_t stack_bytes, const std::function<void()>& work);

}  // namespace retort
