// What a client is told when its request is refused or fails: OpenAI's error shape, and what other shapes are made of.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "base/result.h"
#include "text/chat_template.h"

namespace retort {

struct ApiError {
  int status = 400;
  std::string message;
  std::string param = {};               // the field at fault; empty: null
  std::string code = {};                // empty: null
  std::optional<int> retry_after = {};  // seconds
  bool retry_is_useless = false;        // the SDKs repeat 408 and 5xx on their own; this tells them not to
  std::string log_message = {};         // the message without what the client sent; empty: there is none
};

template <class T>
using ApiResult = tl::expected<T, ApiError>;
using ApiStatus = ApiResult<void>;

inline tl::unexpected<ApiError> refuse(int status, std::string message, std::string param = {}, std::string code = {}) {
  return tl::unexpected<ApiError>(
      {.status = status, .message = std::move(message), .param = std::move(param), .code = std::move(code)});
}

// A literal holds nothing that the client sent.
template <size_t N>
tl::unexpected<ApiError> refuse(int status, const char (&message)[N], const std::string& param = {},
                                const std::string& code = {}) {
  return tl::unexpected<ApiError>(
      {.status = status, .message = message, .param = param, .code = code, .log_message = message});
}

// An error of the rooms below as the status that fits its kind.
ApiError to_api_error(const Error& error);

// What the log may say of it, which keeps to itself what requests say: "temperature: expected a number from 0 to 2".
std::string log_note(const ApiError& error);

// {"error":{"message","type","param","code"}}
Json error_json(const ApiError& error);

}  // namespace retort

// As RETORT_TRY and RETORT_ASSIGN, for ApiResult.
#define RETORT_API_TRY(expression)                                                   \
  do {                                                                               \
    if (auto retort_status = (expression); !retort_status)                           \
      return ::tl::unexpected<::retort::ApiError>(std::move(retort_status).error()); \
  } while (false)
// NOLINTBEGIN(bugprone-macro-parentheses): as RETORT_ASSIGN_INNER
#define RETORT_API_ASSIGN_INNER(holder, declaration, expression)                       \
  auto holder = (expression);                                                          \
  if (!holder) return ::tl::unexpected<::retort::ApiError>(std::move(holder).error()); \
  declaration = std::move(holder).value()
// NOLINTEND(bugprone-macro-parentheses)
#define RETORT_API_ASSIGN(declaration, expression) \
  RETORT_API_ASSIGN_INNER(RETORT_JOIN(retort_result_, __LINE__), declaration, expression)
