// What one request takes of the limits that all requests share; given back when it has been answered. I/O thread.
#pragma once

#include <optional>

#include "server/http/service.h"

namespace retort::http {

class Claim {
 public:
  explicit Claim(Service& service) : service_(service) {}
  ~Claim() {
    service_.held_body_bytes -= num_bytes_;
    if (key_ && --service_.num_requests_of_key[*key_] == 0) service_.num_requests_of_key.erase(*key_);
  }
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;

  // So many more bytes of body: false when all requests together then hold too many.
  bool take_bytes(size_t num) {
    if (service_.held_body_bytes + num > service_.limits.max_held_body_bytes) return false;
    service_.held_body_bytes += num;
    num_bytes_ += num;
    return true;
  }
  // A place among the requests of a key: false when it has as many under way as it may.
  bool take_place(size_t key) {
    const int limit = service_.limits.max_requests_per_key;
    if (limit == 0) return true;
    int& num = service_.num_requests_of_key[key];
    if (num >= limit) return false;
    ++num;
    key_ = key;
    return true;
  }

 private:
  Service& service_;
  size_t num_bytes_ = 0;
  std::optional<size_t> key_;
};

}  // namespace retort::http
