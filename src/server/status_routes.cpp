#include "server/status_routes.h"

#include "server/http/exchange.h"

namespace retort {
namespace {

constexpr std::chrono::seconds kStuckStep{300};  // no step of a live engine takes so long

ApiStatus health(const ApiContext& api) {
  const std::string fault =
      api.model != nullptr ? engine_fault(api.model->engine->stats(), Clock::now()) : "";  // loading is healthy
  if (fault.empty()) return {};
  return refuse(503, fault);
}

ApiStatus readiness(const ApiContext& api) {
  RETORT_API_TRY(api.working_model());
  return health(api);
}

Json load(const ApiContext& api) {
  const EngineStats stats = api.model != nullptr ? api.model->engine->stats() : EngineStats{};
  return {{"server_load", stats.num_running + stats.num_waiting},
          {"num_running", stats.num_running},
          {"num_waiting", stats.num_waiting},
          {"kv_cache_usage", stats.kv_usage},
          {"prompt_tokens", stats.prompt_tokens},
          {"cached_prompt_tokens", stats.cached_prompt_tokens},
          {"generated_tokens", stats.generated_tokens},
          {"num_steps", stats.num_steps},
          {"num_preemptions", stats.num_preemptions},
          {"num_finished", stats.num_finished}};
}

boost::asio::awaitable<void> answer(http::Exchange& exchange, ApiStatus status) {
  http::Response response =
      status ? http::json_response(Json::object({{"status", "ok"}})) : http::error_response(status.error());
  co_await exchange.respond(std::move(response));
}

boost::asio::awaitable<void> answer_json(http::Exchange& exchange, Json json) {
  http::Response response = http::json_response(json);
  co_await exchange.respond(std::move(response));
}

}  // namespace

std::string engine_fault(const EngineStats& stats, Clock::time_point now) {
  if (!stats.alive) return "the engine has stopped";
  const bool runs = stats.step_started != Clock::time_point{};
  if (runs && now - stats.step_started > kStuckStep) return "the engine is stuck in a step";
  return {};
}

void add_status_routes(http::Router& router, ApiContext& api, std::string version) {
  using http::Access;
  using http::Exchange;
  router.add({"GET", "/health", Access::kPublic, [&api](Exchange& exchange) { return answer(exchange, health(api)); }});
  router.add({"GET", "/ping", Access::kPublic, [&api](Exchange& exchange) { return answer(exchange, health(api)); }});
  router.add(
      {"GET", "/ready", Access::kPublic, [&api](Exchange& exchange) { return answer(exchange, readiness(api)); }});
  router.add({"GET", "/load", Access::kKey, [&api](Exchange& exchange) { return answer_json(exchange, load(api)); }});
  router.add({"GET", "/version", Access::kKey, [version = std::move(version)](Exchange& exchange) {
                return answer_json(exchange, Json::object({{"version", version}}));
              }});
}

}  // namespace retort
