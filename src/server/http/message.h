// An HTTP request that has been read and an answer to be written, free of sockets.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/api_error.h"

namespace retort::http {

using Headers = std::vector<std::pair<std::string, std::string>>;
using Parameters = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method = {};
  std::string path = {};  // percent-decoded, begins with '/'; empty where the target is none
  Parameters query = {};
  Headers headers = {};
  std::string body = {};
  std::string id = {};  // x-request-id: the client's if it is a sane one, else made here
  bool is_http10 = false;
  std::optional<size_t> key = {};  // which of the API keys it brought

  std::string_view header(std::string_view name) const;  // names without regard to case; empty when absent
  size_t count(std::string_view name) const;
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body = {};
  Headers headers = {};
};

Response json_response(const Json& body);
Response error_response(const ApiError& error);                    // in OpenAI's shape
Response error_response(const ApiError& error, const Json& body);  // in another

// The path of a request target in origin form ("/v1/models?x=1") or absolute form; an error says what is wrong with it.
ApiResult<std::string> path_of_target(std::string_view target);

// "host:1" of "http://host:1/x", which stands for the Host header; empty for a target in origin form.
std::string authority_of_target(std::string_view target);

// The parameters of its query ("?a=1&b=two+words"), decoded; an error for what is not UTF-8.
ApiResult<Parameters> query_of_target(std::string_view target);

// An id from a client may appear in headers and logs only when it is short and plain.
bool is_sane_request_id(std::string_view id);
std::string make_request_id();  // 32 hex digits that nobody can foresee

// For the log: what a client wrote may not break its lines, nor fill it, nor steer the terminal that shows it.
std::string printable(std::string_view text);

// "HTTP/1.1 200 OK\r\n…\r\n\r\n".
std::string format_head(int status, const Headers& headers);

}  // namespace retort::http
