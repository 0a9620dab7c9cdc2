// From a request's body to what its handler needs, on a text worker; a request that is refused is answered here.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string_view>

#include "server/api_context.h"
#include "server/fields/json_input.h"
#include "server/http/exchange.h"

namespace retort {

// None: the request has been answered with its error, or with that of `model`.
template <class Prepared>
boost::asio::awaitable<std::optional<Prepared>> prepare_request(ApiContext& api, http::Exchange& exchange,
                                                                const ApiResult<const ServedModel*>& model,
                                                                ApiResult<Prepared> (*prepare)(const ServedModel&,
                                                                                               const Json& body)) {
  std::optional<ApiError> error;
  if (model) {
    auto work = [served = *model, prepare, body = exchange.take_body()]() -> ApiResult<Prepared> {
      RETORT_API_ASSIGN(const Json json, parse_json(body));
      return prepare(*served, json);
    };
    ApiResult<Prepared> prepared = co_await api.workers.run(std::move(work));
    if (prepared) co_return std::move(*prepared);
    error = std::move(prepared).error();
  } else {
    error = model.error();
  }
  exchange.note = error->message;
  http::Response response = http::error_response(*error);
  co_await exchange.respond(std::move(response));
  co_return std::nullopt;
}

}  // namespace retort
