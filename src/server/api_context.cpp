#include "server/api_context.h"

namespace retort {
namespace {

constexpr int kRetryAfterSeconds = 5;

tl::unexpected<ApiError> unavailable(std::string message) {
  return tl::unexpected<ApiError>({.status = 503, .message = std::move(message), .retry_after = kRetryAfterSeconds});
}

}  // namespace

ApiResult<const ServedModel*> ApiContext::loaded_model() const {
  if (model == nullptr) return unavailable("the model is still loading");
  return model;
}

ApiResult<const ServedModel*> ApiContext::working_model() const {
  if (is_draining) return unavailable("the server is shutting down");
  RETORT_API_ASSIGN(const ServedModel* loaded, loaded_model());
  if (!loaded->engine->stats().alive) return unavailable("the engine has stopped");
  return loaded;
}

ApiStatus check_model_name(const ServedModel& model, const std::string& name) {
  if (name.empty() || name == model.id) return {};
  return refuse(404, fmt::format("the model '{}' does not exist; this server has '{}'", name, model.id), "model",
                "model_not_found");
}

}  // namespace retort
