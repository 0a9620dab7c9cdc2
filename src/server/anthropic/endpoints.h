// Anthropic's API: messages and the counting of their tokens.
#pragma once

#include "server/api_context.h"
#include "server/http/exchange.h"
#include "server/http/router.h"

namespace retort::anthropic {

boost::asio::awaitable<void> messages(ApiContext& api, http::Exchange& exchange);
boost::asio::awaitable<void> count_tokens(ApiContext& api, http::Exchange& exchange);

void add_routes(http::Router& router, ApiContext& api);

// {"type": "error", "error": {"type", "message"}}
Json error_body(const ApiError& error);

}  // namespace retort::anthropic
