#include "server/http/router.h"

namespace retort::http {
namespace {

std::string_view prefix_of(const Route& route) { return std::string_view(route.path).substr(0, route.path.size() - 1); }

bool fits(const Route& route, std::string_view path) {
  if (!route.path.ends_with("/*")) return route.path == path;
  return path.size() > route.path.size() - 1 && path.starts_with(prefix_of(route));
}

}  // namespace

Router::Match Router::match(std::string_view method, std::string_view path) const {
  Match match;
  for (const Route& route : routes_) {
    if (!fits(route, path)) continue;
    const bool is_get = route.method == "GET";
    if (route.method == method || (is_get && method == "HEAD")) match.route = &route;
    if (!match.allowed_methods.empty()) match.allowed_methods += ", ";
    match.allowed_methods += is_get ? "GET, HEAD" : route.method;
  }
  return match;
}

std::string_view Router::rest_of_path(const Route& route, std::string_view path) {
  return path.substr(prefix_of(route).size());
}

}  // namespace retort::http
