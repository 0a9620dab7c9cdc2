// The engine's and the process's state as metrics, taken when asked for.
#pragma once

#include <prometheus/metric_family.h>

#include <vector>

#include "server/degradation.h"
#include "server/served_model.h"

namespace retort {

// vLLM's gauges and counters of the scheduler, its cache_config_info, and how long steps take.
std::vector<prometheus::MetricFamily> engine_families(const ServedModel& model, const EngineStats& stats);

// process_* as Prometheus' own client libraries give them, and the share of the memory limit in use.
std::vector<prometheus::MetricFamily> process_families();

// retort_degraded: 1 while it is, for each cause; and how often it became so.
std::vector<prometheus::MetricFamily> degradation_families(const Degradation& degradation);

}  // namespace retort
