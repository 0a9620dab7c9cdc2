#include "base/result.h"

#include <cstdio>
#include <cstdlib>

namespace retort {

void check_failed(std::string_view condition, std::string_view file, int line) {
  fmt::print(stderr, "retort: broken invariant at {}:{}: {}\n", file, line, condition);
  std::fflush(stderr);
  std::abort();
}

}  // namespace retort
