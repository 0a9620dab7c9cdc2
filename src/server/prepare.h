// From a request's body to what its handler needs, on a text worker; a request that is refused is answered here.
#pragma once

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/log.h"
#include "server/api_context.h"
#include "server/fields/json_input.h"
#include "server/http/exchange.h"
#include "server/http/router.h"

namespace retort {

template <class Prepare>
using PreparedBy = typename std::invoke_result_t<Prepare, const ServedModel&, const Json&>::value_type;

// Work for a worker, and what it makes of it for the request that waits. I/O thread, but for take() and drop().
template <class Work>
class Errand {
 public:
  Errand(boost::asio::any_io_executor executor, Work work) : bell(std::move(executor)), work_(std::move(work)) {}

  // Once; none where it was dropped before.
  std::optional<Work> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(work_, std::nullopt);
  }
  // What no worker has begun is not done, and its memory is free at once.
  void drop() { take(); }

  boost::asio::steady_timer bell;  // rings by being cancelled
  std::optional<std::invoke_result_t<Work>> result = {};
  std::exception_ptr fault = {};

 private:
  std::mutex mutex_;
  std::optional<Work> work_;
};

// work() on a worker. None: the client has left, the server ends or the request's time is up; then it is not done if no
// worker had begun, and nobody waits for its end if one had.
template <class Work>
boost::asio::awaitable<std::optional<std::invoke_result_t<Work>>> run_errand(ApiContext& api, http::Exchange& exchange,
                                                                             Work work) {
  constexpr std::chrono::milliseconds kLook{100};  // how often it looks whether the server ends
  const Clock::time_point deadline = exchange.arrival() + api.request_timeout;
  const auto errand = std::make_shared<Errand<Work>>(exchange.executor(), std::move(work));
  exchange.on_client_gone([errand] { errand->bell.cancel(); });
  api.workers.post([errand = errand, executor = exchange.executor()]() mutable {  // not const, to be moved on
    std::optional<Work> taken = errand->take();
    if (!taken) return;
    std::optional<std::invoke_result_t<Work>> result;
    std::exception_ptr fault;
    try {
      result = (*taken)();
    } catch (...) {
      fault = std::current_exception();
    }
    // The worker keeps nothing of it: what the request is answered from is freed where it was read.
    boost::asio::post(executor,
                      [errand = std::move(errand), fault = std::move(fault), result = std::move(result)]() mutable {
                        errand->result = std::move(result);
                        errand->fault = std::move(fault);
                        errand->bell.cancel();
                      });
  });
  ++api.num_preparing;
  while (!errand->result && !errand->fault && !exchange.is_client_gone() && !api.is_stopping &&
         Clock::now() < deadline) {
    errand->bell.expires_at(std::min(deadline, Clock::now() + kLook));
    co_await errand->bell.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
  }
  --api.num_preparing;
  exchange.on_client_gone({});
  errand->drop();
  if (errand->fault) std::rethrow_exception(errand->fault);
  co_return std::move(errand->result);
}

// prepare(model, body) → ApiResult<Prepared>. None: the request has been answered with its error, or with that of
// `model`, in the shape of `error_body`; or its client has left.
template <class Prepare>
boost::asio::awaitable<std::optional<PreparedBy<Prepare>>> prepare_request(
    ApiContext& api, http::Exchange& exchange, const ApiResult<const ServedModel*>& model, Prepare prepare,
    Json (*error_body)(const ApiError&) = error_json) {
  using Prepared = PreparedBy<Prepare>;
  std::optional<ApiError> error;
  if (model) {
    std::string body = exchange.take_body();
    if (body.empty() && exchange.route()->takes_query) body = "{}";  // the fields are in the query
    if (api.logs_requests)
      log::info("[{}] {} asks: {}", exchange.request().id, exchange.request().path, http::printable(body));
    auto work = [served = *model, prepare = std::move(prepare), body = std::move(body),
                 limits = api.json_limits]() -> ApiResult<Prepared> {
      if (body.empty()) return refuse(400, "the body is not valid JSON: it is empty");
      RETORT_API_ASSIGN(const Json json, parse_json(body, limits));
      return prepare(*served, json);
    };
    api.has_worked = true;
    std::optional<ApiResult<Prepared>> prepared = co_await run_errand(api, exchange, std::move(work));
    if (exchange.is_client_gone()) co_return std::nullopt;
    if (prepared && *prepared) co_return std::move(**prepared);
    error = prepared ? std::move(*prepared).error() : api.why_given_up();
  } else {
    error = model.error();
  }
  exchange.note = api.note_of(*error);
  http::Response response = http::error_response(*error, error_body(*error));
  co_await exchange.respond(std::move(response));
  co_return std::nullopt;
}

}  // namespace retort
