#include "server/api_error.h"

#include <algorithm>
#include <cctype>

namespace retort {
namespace {

std::string_view type_of(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 408:
      return "timeout_error";
    case 429:
      return "rate_limit_error";
    case 503:
      return "service_unavailable_error";
    default:
      return status >= 500 ? "server_error" : "invalid_request_error";
  }
}

// Names of fields are the client's too: what is written like one is no sentence.
bool is_plain_path(std::string_view param) {
  constexpr size_t kMaxBytes = 100;
  return param.size() <= kMaxBytes && std::ranges::all_of(param, [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.' || c == '[' || c == ']';
         });
}

Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

}  // namespace

ApiError to_api_error(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kBadInput:
    case ErrorKind::kUnsupported:
    case ErrorKind::kTooLarge:
      return {.status = 400, .message = error.message};
    case ErrorKind::kNotFound:
      return {.status = 404, .message = error.message};
    case ErrorKind::kUnavailable:
      return {.status = 503, .message = error.message, .retry_after = 1};
    case ErrorKind::kBadUsage:
    case ErrorKind::kIo:
    case ErrorKind::kInternal:
      break;
  }
  return {.status = 500, .message = error.message};
}

std::string log_note(const ApiError& error) {
  const bool may_quote = error.status == 400 || error.status == 404;
  if (!may_quote) return error.message;
  std::string note;
  if (is_plain_path(error.param)) note = error.log_message.empty() ? error.param : error.log_message;
  if (!error.code.empty()) note += fmt::format("{}({})", note.empty() ? "" : " ", error.code);
  return note;
}

Json error_json(const ApiError& error) {
  return {{"error",
           {{"message", error.message},
            {"type", type_of(error.status)},
            {"param", text_or_null(error.param)},
            {"code", text_or_null(error.code)}}}};
}

}  // namespace retort
