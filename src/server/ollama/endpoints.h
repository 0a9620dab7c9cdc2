// Ollama's API, as far as its Python package and Open WebUI's connection to it go.
#pragma once

#include "server/api_context.h"
#include "server/http/exchange.h"
#include "server/http/router.h"

namespace retort::ollama {

boost::asio::awaitable<void> chat(ApiContext& api, http::Exchange& exchange);
boost::asio::awaitable<void> generate(ApiContext& api, http::Exchange& exchange);
boost::asio::awaitable<void> embed(ApiContext& api, http::Exchange& exchange);
boost::asio::awaitable<void> embeddings(ApiContext& api, http::Exchange& exchange);
boost::asio::awaitable<void> list_models(ApiContext& api, http::Exchange& exchange);
boost::asio::awaitable<void> list_running(ApiContext& api, http::Exchange& exchange);
boost::asio::awaitable<void> show(ApiContext& api, http::Exchange& exchange);

void add_routes(http::Router& router, ApiContext& api, std::string version);

// {"error": "message"}
Json error_body(const ApiError& error);
// "2026-01-31T12:00:00.123456Z"
std::string timestamp(std::chrono::system_clock::time_point time);

// Request schemas, for the OpenAPI document.
Json show_schema();
Json embed_schema();
Json embeddings_schema();

}  // namespace retort::ollama
