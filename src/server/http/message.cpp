#include "server/http/message.h"

#include <fmt/ranges.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <boost/beast/http/status.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <ctime>

#include "server/fields/json_input.h"
#include "text/unicode.h"

namespace retort::http {
namespace {

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

auto parse_target(std::string_view target) {
  return target.starts_with('/') ? boost::urls::parse_origin_form(target) : boost::urls::parse_uri(target);
}

bool is_valid_utf8(std::string_view text) { return valid_utf8_prefix(text) == text.size(); }

std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[40];
  const size_t size = std::strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return std::string(text, size);
}

}  // namespace

std::string_view Request::header(std::string_view name) const {
  for (const auto& [own_name, value] : headers)
    if (equals_ignoring_case(own_name, name)) return value;
  return {};
}

size_t Request::count(std::string_view name) const {
  return static_cast<size_t>(std::count_if(
      headers.begin(), headers.end(), [&](const auto& header) { return equals_ignoring_case(header.first, name); }));
}

Response json_response(const Json& body) { return {.body = dump_json(body)}; }

Response error_response(const ApiError& error) { return error_response(error, error_json(error)); }

Response error_response(const ApiError& error, const Json& body) {
  Response response{.status = error.status, .body = dump_json(body)};
  if (error.retry_after) response.headers.emplace_back("Retry-After", std::to_string(*error.retry_after));
  if (error.retry_is_useless) response.headers.emplace_back("x-should-retry", "false");
  return response;
}

ApiResult<std::string> path_of_target(std::string_view target) {
  const auto url = parse_target(target);
  if (!url) return refuse(400, "the request target is not a valid path");
  std::string path = url->path();
  const bool is_printable =
      std::none_of(path.begin(), path.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; });
  if (!is_printable || !path.starts_with('/')) return refuse(400, "the request target is not a valid path");
  return path;
}

std::string authority_of_target(std::string_view target) {
  const auto url = parse_target(target);
  return url ? std::string(url->encoded_authority()) : std::string();
}

ApiResult<Parameters> query_of_target(std::string_view target) {
  Parameters query;
  const auto url = parse_target(target);
  if (!url) return query;
  for (const auto parameter : url->params()) {
    if (parameter.key.empty() && !parameter.has_value) continue;  // of "/path?" and "?a=1&"
    const bool is_text = is_valid_utf8(parameter.key) && is_valid_utf8(parameter.value);
    if (!is_text) return refuse(400, "the query of the request target is not UTF-8");
    query.emplace_back(parameter.key, parameter.value);
  }
  return query;
}

bool is_sane_request_id(std::string_view id) {
  constexpr size_t kMaxBytes = 128;
  return !id.empty() && id.size() <= kMaxBytes &&
         std::all_of(id.begin(), id.end(), [](char c) { return c > ' ' && c <= '~'; });
}

std::string make_request_id() {
  std::array<unsigned char, 16> bytes;
  RETORT_CHECK(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1);
  return fmt::format("{:02x}", fmt::join(bytes, ""));
}

std::string printable(std::string_view text) {
  constexpr size_t kMaxBytes = 1000;
  std::string result;
  unsigned char before = 0;
  for (const unsigned char c : replace_invalid_utf8(text.substr(0, kMaxBytes))) {
    const bool is_c1_control = before == 0xC2 && c < 0xA0;  // U+0080 … U+009F
    if (is_c1_control) result.pop_back();
    if (c < ' ' || c == 0x7F || is_c1_control)
      fmt::format_to(std::back_inserter(result), "\\x{:02x}", c);
    else
      result += static_cast<char>(c);
    before = c;
  }
  if (text.size() > kMaxBytes) result += "…";
  return result;
}

std::string format_head(int status, const Headers& headers) {
  const auto reason = boost::beast::http::obsolete_reason(static_cast<boost::beast::http::status>(status));
  std::string head = fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\n", status,
                                 std::string_view(reason.data(), reason.size()), http_date());
  for (const auto& [name, value] : headers) fmt::format_to(std::back_inserter(head), "{}: {}\r\n", name, value);
  return head += "\r\n";
}

}  // namespace retort::http
