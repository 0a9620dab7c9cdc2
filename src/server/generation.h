// The engine requests of one API call: submitted together, their events waited for, cancelled when the call ends for
// any reason. What happens to them is counted. Lives on the I/O thread; events reach it there.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
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

  // With the model of `api`, which must be loaded, and its time limit.
  Generation(ApiContext& api, http::Exchange& exchange);
  ~Generation();
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  // While the server is degraded they get less, and the answer says so in a header. False: it is not.
  bool degrade(std::vector<EngineRequest>& requests) const;
  // All or none: 400 when the queue can never hold them, 429 when it has no room for them now, 503 when the engine
  // ends.
  ApiStatus submit(std::vector<EngineRequest> requests);
  // Waits for events and takes all that came in time: while a slow reader is written to they gather here. There will be
  // no more of use where the client is gone or the time is up.
  boost::asio::awaitable<std::vector<News>> next();
  // The request has all that its caller wants, and so ends as if it had stopped by itself.
  void cancel(size_t request_idx);
  // All end early, and tell so in their last events.
  void abort();
  bool is_timed_out() const { return is_timed_out_; }

 private:
  // Shared with the engine's callbacks, which may outlive the generation.
  struct Inbox {
    boost::asio::any_io_executor executor;
    Generation* owner;  // null once it is gone; I/O thread only
  };
  void deliver(News news);
  void run_out_of_time();
  ApiError refusal(const Error& error);
  ApiStatus check_room(const std::vector<EngineRequest>& requests);

  ApiContext& api_;
  http::Exchange& exchange_;
  Engine& engine_;
  boost::asio::steady_timer bell_;  // rings by being cancelled
  boost::asio::steady_timer deadline_;
  std::shared_ptr<Inbox> inbox_;
  std::vector<RequestId> ids_;
  std::vector<RequestRecord> records_;  // as ids_
  std::vector<News> news_;
  bool is_timed_out_ = false;
};

}  // namespace retort
