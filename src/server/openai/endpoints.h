// The handlers of the OpenAI API.
#pragma once

#include "server/api_context.h"
#include "server/http/exchange.h"
#include "server/http/router.h"

namespace retort::openai {

boost::asio::awaitable<void> chat_completions(ApiContext& api, http::Exchange& exchange);
boost::asio::awaitable<void> completions(ApiContext& api, http::Exchange& exchange);
boost::asio::awaitable<void> embeddings(ApiContext& api, http::Exchange& exchange);
boost::asio::awaitable<void> list_models(ApiContext& api, http::Exchange& exchange);
boost::asio::awaitable<void> get_model(ApiContext& api, http::Exchange& exchange);
boost::asio::awaitable<void> tokenize(ApiContext& api, http::Exchange& exchange);
boost::asio::awaitable<void> detokenize(ApiContext& api, http::Exchange& exchange);

void add_routes(http::Router& router, ApiContext& api);

// Request schemas, for the OpenAPI document.
Json tokenize_schema();
Json detokenize_schema();

}  // namespace retort::openai
