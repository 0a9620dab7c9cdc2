// Errors as values. A function that can fail for a reason outside the program
// returns Result<T>; a broken invariant is RETORT_CHECK and ends the process.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace retort {

enum class ErrorKind {
  kBadUsage,     // the command line, the environment or the configuration file is wrong, whatever files there are
  kBadInput,     // what the caller gave is wrong; the message says expected and actual
  kNotFound,     // a file, model, path or id that does not exist
  kUnsupported,  // understood, but not something this build does; the message says what is supported
  kTooLarge,     // over a limit; the message names the limit
  kUnavailable,  // try again later: queue full, loading, draining
  kIo,           // the machine: disk, network, memory
  kInternal,     // ours
};

struct Error {
  ErrorKind kind;
  std::string message;  // "[gguf] tensor blk.3.ffn_up.weight: expected 13762560 elements, file holds 9437184"
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

template <class... Args>
tl::unexpected<Error> fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Error>({kind, fmt::format(format, std::forward<Args>(args)...)});
}

[[noreturn]] void check_failed(std::string_view condition, std::string_view file, int line);

}  // namespace retort

// Leaves the enclosing function with the error of `expression`, if it has one.
#define RETORT_TRY(expression)                                                    \
  do {                                                                            \
    if (auto retort_status = (expression); !retort_status)                        \
      return ::tl::unexpected<::retort::Error>(std::move(retort_status).error()); \
  } while (false)

#define RETORT_JOIN_INNER(a, b) a##b
#define RETORT_JOIN(a, b) RETORT_JOIN_INNER(a, b)
// `holder` and `declaration` are declarators, which parentheses would break.
// NOLINTBEGIN(bugprone-macro-parentheses)
#define RETORT_ASSIGN_INNER(holder, declaration, expression)                        \
  auto holder = (expression);                                                       \
  if (!holder) return ::tl::unexpected<::retort::Error>(std::move(holder).error()); \
  declaration = std::move(holder).value()
// NOLINTEND(bugprone-macro-parentheses)
// RETORT_ASSIGN(auto file, MappedFile::open(path)): the value, or leave with the error.
#define RETORT_ASSIGN(declaration, expression) \
  RETORT_ASSIGN_INNER(RETORT_JOIN(retort_result_, __LINE__), declaration, expression)

#define RETORT_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::retort::check_failed(#condition, __FILE__, __LINE__))
