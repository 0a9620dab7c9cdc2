#include "server/admin_routes.h"

#include "base/cpu.h"
#include "base/memory.h"
#include "server/http/exchange.h"

namespace retort {
namespace {

boost::asio::awaitable<void> reset_prefix_cache(const ApiContext& api, http::Exchange& exchange) {
  const auto model = api.loaded_model();
  if (model) (*model)->engine->reset_prefix_cache();
  http::Response response =
      model ? http::json_response(Json::object({{"status", "ok"}})) : http::error_response(model.error());
  co_await exchange.respond(std::move(response));
}

// What may be told: no keys, no paths of files.
Json server_json(const ServerConfig& config) {
  return {{"host", config.host},
          {"port", config.port},
          {"num_api_keys", config.api_keys.size()},
          {"allowed_origins", config.allowed_origins},
          {"allowed_hosts", config.allowed_hosts},
          {"max_body_bytes", config.max_body_bytes},
          {"max_held_body_bytes", config.max_held_body_bytes},
          {"max_header_bytes", config.max_header_bytes},
          {"max_connections", config.max_connections},
          {"max_requests_per_key", config.max_requests_per_key},
          {"header_timeout", config.header_timeout.count()},
          {"idle_timeout", config.idle_timeout.count()},
          {"request_timeout", config.request_timeout.count()},
          {"shutdown_timeout", config.shutdown_timeout.count()},
          {"step_timeout", config.step_timeout.count()},
          {"degrade_memory", config.degrade.memory_share},
          {"degrade_timeouts", config.degrade.timeouts},
          {"degrade_mode", config.degrade.rejects ? "reject" : "limit"},
          {"degrade_recovery", config.degrade.recovery.count()}};
}

Json model_json(const ServedModel& model) {
  const ModelConfig& config = model.config;
  return {{"id", model.id},
          {"name", config.name},
          {"architecture", config.architecture},
          {"num_layers", config.num_layers},
          {"hidden_size", config.hidden_size},
          {"vocab_size", config.vocab_size},
          {"max_context", config.max_context},
          {"weight_bytes", model.weight_bytes},
          {"is_reasoning", model.is_reasoning},
          {"force_thinking", model.force_thinking}};
}

Json engine_json(const ServedModel& model) {
  const EngineConfig& config = model.engine->config();
  return {{"max_model_len", config.max_model_len},
          {"max_num_seqs", config.max_num_seqs},
          {"max_num_batched_tokens", config.max_num_batched_tokens},
          {"max_step_ms", config.max_step_ms},
          {"max_waiting", config.max_waiting},
          {"enable_prefix_caching", config.enable_prefix_caching},
          {"num_speculative_tokens", config.speculative.num_speculative_tokens},
          {"repetition_guard", config.repetition_guard},
          {"num_kv_blocks", model.engine->stats().num_kv_blocks},
          {"kv_cache_dtype", model.kv_cache_dtype}};
}

Json machine_json() {
  const Memory memory = memory_of_machine();
  return {{"cpu", cpu_model()},
          {"features", cpu_features()},
          {"memory_limit", memory.limit},
          {"memory_available", memory.available},
          {"resident_bytes", resident_bytes()}};
}

boost::asio::awaitable<void> server_info(const ApiContext& api, http::Exchange& exchange, const Json& server) {
  Json info = {{"version", RETORT_VERSION}, {"server", server}, {"machine", machine_json()}};
  info["model"] = api.model != nullptr ? model_json(*api.model) : Json();
  info["engine"] = api.model != nullptr ? engine_json(*api.model) : Json();
  http::Response response = http::json_response(info);
  co_await exchange.respond(std::move(response));
}

}  // namespace

void add_admin_routes(http::Router& router, ApiContext& api, const ServerConfig& config) {
  router.add({.method = "POST",
              .path = "/reset_prefix_cache",
              .handler = [&api](http::Exchange& exchange) { return reset_prefix_cache(api, exchange); },
              .without_body = true});
  router.add({.method = "GET",
              .path = "/server_info",
              .handler = [&api, server = server_json(config)](http::Exchange& exchange) {
                return server_info(api, exchange, server);
              }});
}

}  // namespace retort
