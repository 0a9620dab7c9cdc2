#include "server/http/guard.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/url/authority_view.hpp>
#include <boost/url/parse.hpp>

namespace retort::http {
namespace {

// The key of "Bearer KEY"; the scheme's case does not matter (RFC 9110, 11.1).
std::string_view bearer_key(std::string_view authorization) {
  constexpr std::string_view kBearer = "bearer ";
  const bool is_bearer = authorization.size() >= kBearer.size() &&
                         std::equal(kBearer.begin(), kBearer.end(), authorization.begin(),
                                    [](char scheme, unsigned char given) { return scheme == std::tolower(given); });
  return is_bearer ? authorization.substr(kBearer.size()) : std::string_view();
}

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

std::optional<boost::asio::ip::address_v6> as_ipv6(std::string_view text) {
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address_v6(text, error);
  return error ? std::nullopt : std::optional(address);
}

// "LocalHost.:8000" → "localhost", "[0::1]:8000" → "::1"; empty where a Host header may not say that.
std::string name_of_host(std::string_view host) {
  const auto authority = boost::urls::parse_authority(host);
  if (!authority || authority->has_userinfo()) return {};
  if (authority->host_type() == boost::urls::host_type::ipvfuture) return {};
  if (authority->encoded_host().contains('%')) return {};  // no browser sends that, and others may read it otherwise
  if (authority->host_type() == boost::urls::host_type::ipv6) return authority->host_ipv6_address().to_string();
  std::string name = lower_case(authority->host_address());
  if (name.starts_with('.') || name.find("..") != std::string::npos) return {};
  if (name.ends_with('.')) name.pop_back();  // of the root: the same name
  return name;
}

// As name_of_host() has it; an IPv6 address may stand without brackets, as in --host.
std::string name_of_allowed(std::string_view text) {
  return name_of_host(as_ipv6(text) ? fmt::format("[{}]", text) : std::string(text));
}

bool is_domain_character(unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_'; }

bool is_loopback_name(const std::string& name) {
  if (name == "localhost" || name.ends_with(".localhost")) return true;
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(name, error);
  return !error && address.is_loopback();
}

// The header lists of a preflight go back to the browser as they came, when they are nothing but names.
bool is_list_of_names(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return std::isalnum(c) || c == '-' || c == ',' || c == ' ' || c == '_'; });
}

}  // namespace

bool is_host_name(std::string_view text) {
  const auto authority = boost::urls::parse_authority(text);
  if (authority && authority->has_port() && !as_ipv6(text)) return false;
  const std::string name = name_of_allowed(text);
  return !name.empty() && (as_ipv6(name) || std::ranges::all_of(name, is_domain_character));
}

bool is_origin(std::string_view text) {
  if (text == "*" || text == "null") return true;
  const size_t end_of_scheme = text.find("://");
  if (end_of_scheme == std::string_view::npos || !boost::urls::parse_uri(text)) return false;
  const std::string scheme = lower_case(std::string(text.substr(0, end_of_scheme)));
  const auto authority = boost::urls::parse_authority(text.substr(end_of_scheme + 3));
  if (!authority || authority->has_userinfo()) return false;
  const std::string_view host = authority->encoded_host(), port = authority->port();
  if (host.empty()) return scheme == "file" && !authority->has_port();
  // Browsers leave out the scheme's own port, and write an address in its shortest form.
  const bool is_port_sent =
      !authority->has_port() || (port == std::to_string(authority->port_number()) &&
                                 !(scheme == "http" && port == "80") && !(scheme == "https" && port == "443"));
  const auto address = as_ipv6(authority->host_address());
  const bool is_shortest = !address || address->is_v4_mapped() || host == fmt::format("[{}]", address->to_string());
  return is_port_sent && is_shortest && is_host_name(host);
}

Guard::Guard(const GuardOptions& options) : options_(options) {
  for (std::string& host : options_.allowed_hosts) host = name_of_allowed(host);
  for (std::string& origin : options_.allowed_origins) origin = lower_case(std::move(origin));
  for (const std::string& key : options.api_keys) keys_.push_back(digest(key));
}

Guard::Digest Guard::digest(std::string_view key) {
  Digest result;
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), result.data());
  return result;
}

std::optional<size_t> Guard::key_of(const Request& request) const {
  const std::string_view bearer = bearer_key(request.header("Authorization"));
  const Digest given = digest(bearer.empty() ? request.header("x-api-key") : bearer);  // as Anthropic's clients send it
  std::optional<size_t> found;  // every key is compared, in constant time: the time taken tells nothing
  for (size_t i = 0; i < keys_.size(); ++i)
    if (CRYPTO_memcmp(keys_[i].data(), given.data(), given.size()) == 0) found = i;
  return found;
}

bool Guard::is_host_allowed(std::string_view host) const {
  if (!options_.check_host) return true;
  const std::string name = name_of_host(host);
  if (name.empty()) return false;
  return is_loopback_name(name) || std::ranges::find(options_.allowed_hosts, name) != options_.allowed_hosts.end();
}

Headers Guard::cors_headers(const Request& request) const {
  const std::string origin(request.header("Origin"));
  const auto is = [&](const std::string& allowed) { return allowed == "*" || allowed == origin; };
  if (origin.empty() || std::none_of(options_.allowed_origins.begin(), options_.allowed_origins.end(), is)) return {};
  return {{"Access-Control-Allow-Origin", origin},
          {"Access-Control-Expose-Headers", "x-request-id, retry-after, x-retort-degraded"},
          {"Vary", "Origin"}};
}

std::optional<Response> Guard::preflight(const Request& request) const {
  if (request.method != "OPTIONS" || request.header("Access-Control-Request-Method").empty()) return std::nullopt;
  if (cors_headers(request).empty()) return std::nullopt;
  Response response{.status = 204, .content_type = ""};
  response.headers.emplace_back("Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS");
  const std::string names(request.header("Access-Control-Request-Headers"));
  if (!names.empty() && is_list_of_names(names)) response.headers.emplace_back("Access-Control-Allow-Headers", names);
  response.headers.emplace_back("Access-Control-Max-Age", "600");
  return response;
}

}  // namespace retort::http
