// Everything /metrics tells, in Prometheus' text format. I/O thread.
#pragma once

#include <prometheus/registry.h>

#include <memory>
#include <string>
#include <string_view>

#include "server/degradation.h"
#include "server/metrics/request_metrics.h"
#include "server/served_model.h"

namespace retort {

class Metrics {
 public:
  Metrics();

  // From now on there are requests to count; `model` must outlive the object.
  void serve(const ServedModel& model);
  RequestMetrics& requests() { return *requests_; }  // after serve()

  // An answer went out. `handler` is the route's path, empty where there was none.
  void count_answer(std::string_view method, std::string_view handler, int status);

  std::string text(const Degradation& degradation) const;

 private:
  prometheus::Registry registry_;
  prometheus::Family<prometheus::Counter>& answers_;
  std::unique_ptr<RequestMetrics> requests_;
  const ServedModel* model_ = nullptr;
};

}  // namespace retort
