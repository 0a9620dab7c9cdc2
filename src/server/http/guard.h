// Who may ask: API keys, the Host header against DNS rebinding, and CORS.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/message.h"

namespace retort::http {

struct GuardOptions {
  std::vector<std::string> api_keys = {};         // empty: no key asked
  std::vector<std::string> allowed_origins = {};  // "*": any; empty: CORS off
  std::vector<std::string> allowed_hosts = {};    // besides the loopback names
  bool check_host = false;  // bound to loopback: a web page elsewhere must not reach us under its own name
};

// "retort.lan", "10.0.0.5", "fd00::1": what the Host of a request may name, its port apart.
bool is_host_name(std::string_view text);
// "https://page.example:8443": what browsers send as Origin; or "*".
bool is_origin(std::string_view text);

class Guard {
 public:
  explicit Guard(const GuardOptions& options);

  bool asks_for_key() const { return !keys_.empty(); }
  std::optional<size_t> key_of(const Request& request) const;  // its place among the keys
  bool is_host_allowed(std::string_view host) const;
  Headers cors_headers(const Request& request) const;  // empty: not a cross-origin request of an allowed origin
  std::optional<Response> preflight(
      const Request& request) const;  // for a browser that asks before it sends; beside cors_headers()

 private:
  using Digest = std::array<unsigned char, 32>;
  static Digest digest(std::string_view key);

  GuardOptions options_;
  std::vector<Digest> keys_;
};

}  // namespace retort::http
