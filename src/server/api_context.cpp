#include "server/api_context.h"

namespace retort {
namespace {

constexpr int kRetryAfterSeconds = 5;

}  // namespace

tl::unexpected<ApiError> unavailable(std::string message) {
  return tl::unexpected<ApiError>({.status = 503, .message = std::move(message), .retry_after = kRetryAfterSeconds});
}

ApiError time_is_up() {
  return {
      .status = 408, .message = "the request did not finish within the server's time limit", .retry_is_useless = true};
}

ApiResult<const ServedModel*> ApiContext::loaded_model() const {
  if (model == nullptr) return unavailable("the model is still loading");
  return model;
}

ApiResult<const ServedModel*> ApiContext::live_model() const {
  if (is_draining) return unavailable("the server is shutting down");
  RETORT_API_ASSIGN(const ServedModel* loaded, loaded_model());
  if (!loaded->engine->stats().alive) return unavailable("the engine has stopped");
  if (degradation.rejects()) {
    const auto seconds = static_cast<int>(degradation.config().recovery.count());
    const char* why = *degradation.cause() == DegradeCause::kMemory ? "is short of memory" : "cannot keep up";
    return tl::unexpected<ApiError>(
        {.status = 503,
         .message =
             fmt::format("the server {} and takes no new requests for now; please try again in {} s", why, seconds),
         .retry_after = seconds});
  }
  return loaded;
}

ApiResult<const ServedModel*> ApiContext::working_model() {
  const ApiResult<const ServedModel*> live = live_model();
  if (!live) {
    if (model != nullptr && degradation.rejects()) metrics.requests().count_rejection(RequestMetrics::kDegraded);
    return live;
  }
  const Engine& engine = *(*live)->engine;
  const int num_here = engine.stats().num_unfinished + num_preparing;
  if (num_here < engine.most_sequences()) return live;
  metrics.requests().count_rejection(RequestMetrics::kQueueIsFull);
  return tl::unexpected<ApiError>(
      {.status = 429, .message = full_queue_message(engine.config(), num_here), .retry_after = 1});
}

ApiError ApiContext::why_given_up() {
  if (is_stopping) return unavailable("the server is shutting down").value();
  degradation.see_end(true, Clock::now());
  return time_is_up();
}

ApiStatus check_model_name(const ServedModel& model, const std::string& name) {
  if (name.empty() || name == model.id) return {};
  return refuse(404, fmt::format("the model '{}' does not exist; this server has '{}'", name, model.id), "model",
                "model_not_found");
}

}  // namespace retort
