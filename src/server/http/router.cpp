#include "server/http/router.h"

#include <algorithm>

namespace retort::http {
namespace {

// What stands before the "*" and after it; the whole path where there is none.
struct Pattern {
  std::string_view prefix, suffix;
  bool is_exact;

  explicit Pattern(std::string_view path) {
    const size_t star = path.find('*');
    is_exact = star == std::string_view::npos;
    prefix = path.substr(0, star);
    if (!is_exact) suffix = path.substr(star + 1);
  }
  bool fits(std::string_view path) const {
    if (is_exact) return path == prefix;
    return path.size() > prefix.size() + suffix.size() && path.starts_with(prefix) && path.ends_with(suffix);
  }
};

}  // namespace

Router::Match Router::match(std::string_view method, std::string_view path) const {
  size_t longest = 0;
  for (const Route& route : routes_)
    if (Pattern(route.path).fits(path)) longest = std::max(longest, route.path.size());
  Match match;
  for (const Route& route : routes_) {
    if (route.path.size() != longest || !Pattern(route.path).fits(path)) continue;
    const bool is_get = route.method == "GET";
    if (route.method == method || (is_get && method == "HEAD")) match.route = &route;
    if (!match.allowed_methods.empty()) match.allowed_methods += ", ";
    match.allowed_methods += is_get ? "GET, HEAD" : route.method;
  }
  return match;
}

ErrorBody Router::error_body(std::string_view path) const {
  for (const auto& [prefix, body] : shapes_)
    if (path.starts_with(prefix)) return body;
  return error_json;
}

std::string_view Router::rest_of_path(const Route& route, std::string_view path) {
  const Pattern pattern(route.path);
  return path.substr(pattern.prefix.size(), path.size() - pattern.prefix.size() - pattern.suffix.size());
}

}  // namespace retort::http
