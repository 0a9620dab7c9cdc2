// What all connections of a server share. Only the I/O thread touches it.
#pragma once

#include <chrono>
#include <functional>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "server/http/guard.h"
#include "server/http/router.h"

namespace retort::http {

struct Limits {
  size_t max_body_bytes = 16u << 20;
  size_t max_header_bytes = 32u << 10;
  int max_connections = 1024;
  std::chrono::milliseconds header_timeout{
      10'000};  // for a request's header; its body may take longer by a second per 16 KiB
  std::chrono::milliseconds idle_timeout{75'000};  // between requests, and for a reader that takes nothing
  size_t max_held_body_bytes = 256u << 20;         // of all requests that are not answered yet
  int max_requests_per_key = 0;                    // POST at once; 0: as many as come
};

class Session;

struct Service {
  Limits limits;
  Guard guard;
  Router router = {};
  bool is_draining = false;                                  // connections close after their answer
  int num_exchanges = 0;                                     // requests read and not yet answered
  size_t held_body_bytes = 0;                                // of those, and of those being read
  std::unordered_map<size_t, int> num_requests_of_key = {};  // being read or answered, by the key's place
  std::unordered_set<Session*> sessions = {};     // every open connection, its handshake and its end included
  size_t num_turned_away = 0;                     // of those, connections that are only told why
  std::function<void()> on_exchange_change = {};  // num_exchanges has changed
  // An answer has gone out, or the client before it (499); `handler` is the route's path, empty where there was none.
  // `method` is empty for one that was turned away before it could ask anything.
  std::function<void(std::string_view method, std::string_view handler, int status)> on_answer = {};
  std::function<void()> on_key_limit = {};  // a request was one too many of its key
};

}  // namespace retort::http
