#include "server/page.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "server/http/exchange.h"

namespace retort {
namespace {

// 'sha256-…' of what stands between <tag> and </tag>, as browsers compute it.
std::string hash_of_element(std::string_view page, std::string_view tag) {
  const std::string open = fmt::format("<{}>", tag), close = fmt::format("</{}>", tag);
  const size_t begin = page.find(open) + open.size(), end = page.find(close, begin);
  RETORT_CHECK(begin >= open.size() && end != std::string_view::npos);
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(page.data()) + begin, end - begin, digest);
  unsigned char base64[4 * ((SHA256_DIGEST_LENGTH + 2) / 3) + 1];
  const int size = EVP_EncodeBlock(base64, digest, sizeof(digest));
  return fmt::format("'sha256-{}'", std::string_view(reinterpret_cast<const char*>(base64), static_cast<size_t>(size)));
}

boost::asio::awaitable<void> answer_page(http::Exchange& exchange, std::string_view page, const std::string& policy) {
  http::Response response{.content_type = "text/html; charset=utf-8", .body = std::string(page)};
  response.headers = {{"Content-Security-Policy", policy},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Referrer-Policy", "no-referrer"},
                      {"Cache-Control", "no-cache"}};
  co_await exchange.respond(std::move(response));
}

}  // namespace

std::string content_security_policy(std::string_view page) {
  return fmt::format(
      "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src data:; base-uri 'none'; "
      "form-action 'none'; "
      "frame-ancestors 'none'",
      hash_of_element(page, "script"), hash_of_element(page, "style"));
}

void add_page_routes(http::Router& router) {
  for (const auto& [path, page] : {std::pair("/", kPage), std::pair("/docs", kDocsPage)})
    router.add({.method = "GET",
                .path = path,
                .access = http::Access::kPublic,
                .handler = [page, policy = content_security_policy(page)](
                               http::Exchange& exchange) { return answer_page(exchange, page, policy); },
                .ignores_query = true});
}

}  // namespace retort
