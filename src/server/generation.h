// The engine requests of one API call: submitted together, their events waited for, cancelled when the call ends for
// any reason. What happens to them is counted. Lives on the I/O thread; events reach it there.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <vector>

#include "engine/engine.h"
#include "server/api_context.h"
#include "server/api_error.h"
#include "server/http/exchange.h"

namespace retort {

class Generation {
 public:
  struct News {
    size_t request_idx;  // as submitted
    TokenEvent event;
  };

  // With the model of `api`, which must be loaded, and its time limit. `take` is told all that comes in time, when it
  // comes: also while a slow reader is written to.
  Generation(ApiContext& api, http::Exchange& exchange, std::function<void(const News&)> take);
  ~Generation();
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  // While the server is degraded they get less, and the answer says so in a header. False: it is not.
  bool degrade(std::vector<EngineRequest>& requests) const;
  // All or none: 400 when the queue can never hold them, 429 when it has no room for them now, 503 when the engine
  // ends.
  ApiStatus submit(std::vector<EngineRequest> requests);
  // Waits until `take` has been told something since the last call, the client is gone or the time is up. Throws what
  // `take` threw.
  boost::asio::awaitable<void> next();
  // The request, or one sample of it, has all that its caller wants, and so ends as if it had stopped by itself.
  void cancel(size_t request_idx);
  void cancel(size_t request_idx, int sample_idx);
  // All end early, and tell so in their last events.
  void abort();
  bool is_timed_out() const { return is_timed_out_; }

 private:
  // Shared with the engine's callbacks, which may outlive the generation.
  struct Inbox {
    boost::asio::any_io_executor executor;
    Generation* owner;  // null once it is gone; I/O thread only
  };
  void deliver(const News& news);
  void run_out_of_time();
  ApiError refusal(const Error& error);
  ApiStatus check_room(const std::vector<EngineRequest>& requests);

  ApiContext& api_;
  http::Exchange& exchange_;
  std::function<void(const News&)> take_;
  Engine& engine_;
  boost::asio::steady_timer bell_;  // rings by being cancelled
  boost::asio::steady_timer deadline_;
  std::shared_ptr<Inbox> inbox_;
  std::vector<RequestId> ids_;
  std::vector<RequestRecord> records_;  // as ids_
  bool has_news_ = false;
  std::exception_ptr fault_;
  bool is_timed_out_ = false;
};

}  // namespace retort
