#include "server/status_routes.h"

#include "server/http/exchange.h"

namespace retort {
namespace {

ApiStatus health(const ApiContext& api) {
  if (api.model == nullptr) return unavailable("the model is still loading");
  const std::string fault = engine_fault(api.model->engine->stats(), Clock::now(), api.step_timeout);
  if (fault.empty()) return {};
  return unavailable(fault);
}

ApiStatus readiness(const ApiContext& api) {
  RETORT_API_TRY(api.live_model());
  return health(api);
}

Json degradation_json(const Degradation& degradation) {
  const auto cause = degradation.cause();
  return cause ? Json(name_of(*cause)) : Json();
}

Json load(const ApiContext& api) {
  const EngineStats stats = api.model != nullptr ? api.model->engine->stats() : EngineStats{};
  return {{"server_load", api.num_preparing + stats.num_running + stats.num_waiting},
          {"num_preparing", api.num_preparing},
          {"num_running", stats.num_running},
          {"num_waiting", stats.num_waiting},
          {"kv_cache_usage", stats.kv_usage},
          {"prompt_tokens", stats.prompt_tokens},
          {"cached_prompt_tokens", stats.cached_prompt_tokens},
          {"generated_tokens", stats.generated_tokens},
          {"drafts", stats.drafts},
          {"draft_tokens", stats.draft_tokens},
          {"accepted_draft_tokens", stats.accepted_draft_tokens()},
          {"num_steps", stats.num_steps},
          {"num_preemptions", stats.num_preemptions},
          {"num_finished", stats.num_finished},
          {"degraded", degradation_json(api.degradation)},
          {"step_seconds",
           {{"schedule", stats.times.schedule},
            {"model", stats.times.model},
            {"sample", stats.times.sample},
            {"deliver", stats.times.deliver}}}};
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

boost::asio::awaitable<void> answer_metrics(http::Exchange& exchange, const ApiContext& api) {
  http::Response response{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                          .body = api.metrics.text(api.degradation)};
  co_await exchange.respond(std::move(response));
}

}  // namespace

std::string engine_fault(const EngineStats& stats, Clock::time_point now, std::chrono::seconds step_timeout) {
  if (!stats.alive) return "the engine has stopped";
  const bool runs = stats.step_started != Clock::time_point{};
  if (runs && now - stats.step_started > step_timeout)
    return fmt::format("the engine has been in one step for {:.0f} s, longer than --step-timeout {} s",
                       std::chrono::duration<double>(now - stats.step_started).count(), step_timeout.count());
  return {};
}

void add_status_routes(http::Router& router, ApiContext& api, std::string version) {
  using http::Access;
  using http::Exchange;
  const auto add = [&](std::string path, Access access, http::Handler handler) {
    router.add({.method = "GET",
                .path = std::move(path),
                .access = access,
                .handler = std::move(handler),
                .ignores_query = true});
  };
  add("/health", Access::kPublic, [&api](Exchange& exchange) { return answer(exchange, health(api)); });
  add("/ping", Access::kPublic, [&api](Exchange& exchange) { return answer(exchange, health(api)); });
  add("/ready", Access::kPublic, [&api](Exchange& exchange) { return answer(exchange, readiness(api)); });
  add("/load", Access::kKey, [&api](Exchange& exchange) { return answer_json(exchange, load(api)); });
  add("/metrics", Access::kKey, [&api](Exchange& exchange) { return answer_metrics(exchange, api); });
  add("/version", Access::kKey, [version = std::move(version)](Exchange& exchange) {
    return answer_json(exchange, Json::object({{"version", version}}));
  });
}

}  // namespace retort
