// What every API handler works with. Lives on the I/O thread.
#pragma once

#include <chrono>
#include <string_view>

#include "server/api_error.h"
#include "server/degradation.h"
#include "server/fields/json_input.h"
#include "server/metrics/metrics.h"
#include "server/served_model.h"
#include "server/text_workers.h"

namespace retort {

struct ApiContext {
  const ServedModel* model = nullptr;  // null: still loading
  bool is_draining = false;
  bool is_stopping = false;  // and those whose requests are still being read are told so
  std::chrono::milliseconds request_timeout{600'000};
  std::chrono::seconds step_timeout{60};
  TextWorkers workers{2};
  Metrics metrics = {};
  Degradation degradation{DegradeConfig{}};
  JsonInputLimits json_limits = {};  // of bodies
  bool logs_requests = false;
  int num_preparing = 0;    // requests on their way through the text workers
  bool has_worked = false;  // since the heap was last given back to the system

  // The model, or 503 while there is none.
  ApiResult<const ServedModel*> loaded_model() const;
  // The model, or 503 while it takes no new work: loading, draining, its engine dead, or all sent away (Degradation).
  ApiResult<const ServedModel*> live_model() const;
  // The same for a request that comes now, or 429 when the queue is full: said at once, before any work on it.
  ApiResult<const ServedModel*> working_model();

  // Why the server gives up a request that is still being read: it ends, or the request's time is up.
  ApiError why_given_up();

  // For the log line of a request that is refused.
  std::string note_of(const ApiError& error) const { return logs_requests ? error.message : log_note(error); }
};

// 503, to be tried again in some seconds.
tl::unexpected<ApiError> unavailable(std::string message);

// 408: it ran out of --request-timeout.
ApiError time_is_up();

// 404 for a request that names another model. Empty is the served one.
ApiStatus check_model_name(const ServedModel& model, const std::string& name);

}  // namespace retort
