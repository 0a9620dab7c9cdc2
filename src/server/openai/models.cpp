// GET /v1/models and /v1/models/{id}, which OpenAI's API and Anthropic's both have: an answer is what either of them
// says.
#include <fmt/chrono.h>

#include "server/openai/endpoints.h"

namespace retort::openai {
namespace {

Json model_card(const ServedModel& model) {
  return {{"id", model.id},
          {"object", "model"},
          {"type", "model"},
          {"created", model.created},
          {"created_at", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time_t{model.created}))},
          {"display_name", model.id},
          {"lifecycle", "active"},
          {"owned_by", "retort"},
          {"root", model.config.name},
          {"parent", nullptr},
          {"max_model_len", model.max_model_len},
          {"max_input_tokens", model.max_model_len},
          {"max_tokens", model.max_model_len}};
}

Json list_of(const ServedModel& model) {
  return {{"object", "list"},
          {"data", Json::array({model_card(model)})},
          {"has_more", false},
          {"first_id", model.id},
          {"last_id", model.id}};
}

}  // namespace

boost::asio::awaitable<void> list_models(ApiContext& api, http::Exchange& exchange) {
  const auto model = api.loaded_model();
  http::Response response = model ? http::json_response(list_of(**model)) : http::error_response(model.error());
  co_await exchange.respond(std::move(response));
}

boost::asio::awaitable<void> get_model(ApiContext& api, http::Exchange& exchange) {
  const auto model = api.loaded_model();
  const ApiStatus status =
      model ? check_model_name(**model, std::string(exchange.rest_of_path())) : tl::unexpected<ApiError>(model.error());
  http::Response response = status ? http::json_response(model_card(**model)) : http::error_response(status.error());
  co_await exchange.respond(std::move(response));
}

}  // namespace retort::openai
