#include "server/openai/endpoints.h"

namespace retort::openai {

void add_routes(http::Router& router, ApiContext& api) {
  using Endpoint = boost::asio::awaitable<void> (*)(ApiContext&, http::Exchange&);
  const auto add = [&](std::string method, std::string path, Endpoint endpoint,
                       std::vector<std::string> ignored_query = {}) {
    ignored_query.emplace_back("api-version");  // that of Azure's client
    router.add({.method = std::move(method),
                .path = std::move(path),
                .handler = [&api, endpoint](http::Exchange& exchange) { return endpoint(api, exchange); },
                .ignored_query = std::move(ignored_query)});
  };
  add("POST", "/v1/chat/completions", chat_completions);
  add("POST", "/v1/completions", completions);
  add("POST", "/v1/embeddings", embeddings);
  add("GET", "/v1/models", list_models, {"beta", "limit"});  // of a list of one
  add("GET", "/v1/models/*", get_model, {"beta"});
  add("POST", "/tokenize", tokenize);
  add("POST", "/detokenize", detokenize);
}

}  // namespace retort::openai
