// The simple API: a prompt in, a response out, one or many at a time.
#pragma once

#include "server/api_context.h"
#include "server/http/exchange.h"
#include "server/http/router.h"

namespace retort::simple {

boost::asio::awaitable<void> generate(ApiContext& api, http::Exchange& exchange);
boost::asio::awaitable<void> generate_batch(ApiContext& api, http::Exchange& exchange);

void add_routes(http::Router& router, ApiContext& api);

}  // namespace retort::simple
