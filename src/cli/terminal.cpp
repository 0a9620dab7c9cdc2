#include "cli/terminal.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "base/visible.h"

namespace retort {

int report(const Error& error) {
  const auto style = style_for(STDERR_FILENO);
  fmt::print(stderr, "{}retort:{} {}\n", style.bold, style.reset, visible(error.message));
  return error.kind == ErrorKind::kBadUsage ? kWrongUse : kFailed;
}

bool is_plain_terminal() {
  const char* name = std::getenv("TERM");
  return name == nullptr || *name == '\0' || std::string_view(name) == "dumb";
}

Style style_for(int fd) {
  const char* no_color = std::getenv("NO_COLOR");
  if (isatty(fd) == 0 || is_plain_terminal() || (no_color != nullptr && *no_color != '\0')) return {};
  return {"\x1b[2m", "\x1b[1m", "\x1b[0m"};
}

}  // namespace retort
