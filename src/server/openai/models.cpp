// GET /v1/models and /v1/models/{id}.
#include "server/openai/endpoints.h"

namespace retort::openai {
namespace {

Json model_card(const ServedModel& model) {
  return {{"id", model.id},
          {"object", "model"},
          {"created", model.created},
          {"owned_by", "retort"},
          {"root", model.config.name},
          {"parent", nullptr},
          {"max_model_len", model.max_model_len}};
}

}  // namespace

boost::asio::awaitable<void> list_models(ApiContext& api, http::Exchange& exchange) {
  const auto model = api.loaded_model();
  http::Response response =
      model ? http::json_response({{"object", "list"}, {"data", Json::array({model_card(**model)})}})
            : http::error_response(model.error());
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
