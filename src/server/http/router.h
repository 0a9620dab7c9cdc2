// Which handler answers a method and path.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/http/message.h"

namespace retort::http {

class Exchange;
using Handler = std::function<boost::asio::awaitable<void>(Exchange&)>;
using ErrorBody = Json (*)(const ApiError&);

enum class Access { kPublic, kKey };

struct Route {
  std::string method;  // "GET" answers HEAD too
  std::string path;    // exact; or with one "*" for one character or more: "/v1/models/*", "/v1/responses/*/cancel"
  Access access = Access::kKey;
  Handler handler = {};
  bool without_body = false;                    // may come without one
  bool any_type = false;                        // programs may send JSON under any Content-Type
  bool takes_query = false;                     // its handler reads the query
  bool ignores_query = false;                   // pages and probes, whose links others decorate
  std::vector<std::string> ignored_query = {};  // else: parameters that clients send and that change nothing
};

class Router {
 public:
  void add(Route route) { routes_.push_back(std::move(route)); }
  // The shape of errors of all paths that begin so, also where no route is; elsewhere it is OpenAI's.
  void shape_errors(std::string prefix, ErrorBody body) { shapes_.emplace_back(std::move(prefix), body); }
  ErrorBody error_body(std::string_view path) const;

  struct Match {
    const Route* route = nullptr;  // null: no such path, or not with this method
    std::string allowed_methods;   // "GET, HEAD" of the path; empty: no such path
  };
  // Of paths that fit, the longest is meant.
  Match match(std::string_view method, std::string_view path) const;

  // What "*" of the route stands for in `path`.
  static std::string_view rest_of_path(const Route& route, std::string_view path);

 private:
  std::vector<Route> routes_;
  std::vector<std::pair<std::string, ErrorBody>> shapes_;
};

}  // namespace retort::http
