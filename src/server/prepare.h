// From a request's body to what its handler needs, on a text worker; a request that is refused is answered here.
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <memory>
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

// prepare(model, body) → ApiResult<Prepared>. None: the request has been answered with its error, or with that of
// `model`, in the shape of `error_body`; or its client has left. Nothing is done for one whose client has left, whose
// time is up or whom the server's end has overtaken before a worker is free.
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
    const auto is_client_gone = std::make_shared<std::atomic<bool>>(exchange.is_client_gone());
    auto work = [served = *model, prepare = std::move(prepare), body = std::move(body), limits = api.json_limits,
                 is_client_gone, &is_stopping = api.is_stopping,
                 deadline = exchange.arrival() + api.request_timeout]() -> ApiResult<Prepared> {
      if (*is_client_gone) return refuse(499, "the client has left");  // nobody reads it
      if (is_stopping) return unavailable("the server is shutting down");
      if (Clock::now() > deadline) return tl::unexpected(time_is_up());
      if (body.empty()) return refuse(400, "the body is not valid JSON: it is empty");
      RETORT_API_ASSIGN(const Json json, parse_json(body, limits));
      return prepare(*served, json);
    };
    exchange.on_client_gone([is_client_gone] { *is_client_gone = true; });
    api.has_worked = true;
    ++api.num_preparing;
    ApiResult<Prepared> prepared = co_await api.workers.run(std::move(work));
    --api.num_preparing;
    exchange.on_client_gone({});
    if (exchange.is_client_gone()) co_return std::nullopt;
    if (prepared) co_return std::move(*prepared);
    if (prepared.error().status == 408) api.degradation.see_end(true, Clock::now());
    error = std::move(prepared).error();
  } else {
    error = model.error();
  }
  exchange.note = api.note_of(*error);
  http::Response response = http::error_response(*error, error_body(*error));
  co_await exchange.respond(std::move(response));
  co_return std::nullopt;
}

}  // namespace retort
