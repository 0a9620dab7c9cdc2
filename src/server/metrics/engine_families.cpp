#include "server/metrics/engine_families.h"

#include "kernels/attention.h"

namespace retort {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

Labels labels_of(const ServedModel& model) { return {{"model_name", model.id}, {"engine", "0"}}; }

MetricFamily family(const char* name, const char* help, MetricType type, ClientMetric metric) {
  return {.name = name, .help = help, .type = type, .metric = {std::move(metric)}};
}

MetricFamily gauge(const ServedModel& model, const char* name, const char* help, double value) {
  ClientMetric metric;
  metric.label = labels_of(model);
  metric.gauge.value = value;
  return family(name, help, MetricType::Gauge, std::move(metric));
}

MetricFamily counter(const ServedModel& model, const char* name, const char* help, uint64_t value) {
  ClientMetric metric;
  metric.label = labels_of(model);
  metric.counter.value = static_cast<double>(value);
  return family(name, help, MetricType::Counter, std::move(metric));
}

template <const auto& kBounds>
MetricFamily histogram(Labels labels, const char* name, const char* help, const Distribution<kBounds>& distribution) {
  ClientMetric metric;
  metric.label = std::move(labels);
  uint64_t count = 0;
  for (size_t i = 0; i < distribution.counts.size(); ++i) {
    count += distribution.counts[i];
    const double bound = i < kBounds.size() ? kBounds[i] : std::numeric_limits<double>::infinity();
    metric.histogram.bucket.push_back({.cumulative_count = count, .upper_bound = bound});
  }
  metric.histogram.sample_count = count;
  metric.histogram.sample_sum = distribution.sum;
  return family(name, help, MetricType::Histogram, std::move(metric));
}

MetricFamily accepted_per_position(const ServedModel& model, const EngineStats& stats) {
  MetricFamily accepted{.name = "vllm:spec_decode_num_accepted_tokens_per_pos_total",
                        .help = "Guessed tokens that were right, by their place among a step's guesses.",
                        .type = MetricType::Counter};
  for (int position = 0; position < model.engine->config().speculative.num_speculative_tokens; ++position) {
    ClientMetric& metric = accepted.metric.emplace_back();
    metric.label = labels_of(model);
    metric.label.push_back({"position", std::to_string(position)});
    metric.counter.value = static_cast<double>(stats.accepted_at[position]);
  }
  return accepted;
}

MetricFamily cache_config_info(const ServedModel& model, const EngineStats& stats) {
  ClientMetric metric;
  metric.label = {{"engine", "0"},
                  {"block_size", std::to_string(kBlockTokens)},
                  {"cache_dtype", model.kv_cache_dtype},
                  {"enable_prefix_caching", model.engine->config().enable_prefix_caching ? "True" : "False"},
                  {"num_gpu_blocks", std::to_string(stats.num_kv_blocks)}};
  metric.gauge.value = 1;
  return family("vllm:cache_config_info", "How the KV cache is set up.", MetricType::Gauge, std::move(metric));
}

}  // namespace

std::vector<MetricFamily> engine_families(const ServedModel& model, const EngineStats& stats) {
  const bool is_cached = model.engine->config().enable_prefix_caching;
  return {
      gauge(model, "vllm:num_requests_running", "Sequences in the making.", stats.num_running),
      gauge(model, "vllm:num_requests_waiting", "Requests in the queue.", stats.num_waiting),
      gauge(model, "vllm:kv_cache_usage_perc", "Share of the KV cache in use, 0 to 1.", stats.kv_usage),
      counter(model, "vllm:prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache.",
              is_cached ? stats.prompt_tokens : 0),
      counter(model, "vllm:prefix_cache_hits_total", "Prompt tokens found in the prefix cache.",
              stats.cached_prompt_tokens),
      counter(model, "vllm:num_preemptions_total", "Sequences put back into the queue for want of memory.",
              stats.num_preemptions),
      counter(model, "vllm:spec_decode_num_drafts_total", "Times that tokens were guessed to follow.", stats.drafts),
      counter(model, "vllm:spec_decode_num_draft_tokens_total", "Guessed tokens that were computed.",
              stats.draft_tokens),
      counter(model, "vllm:spec_decode_num_accepted_tokens_total", "Guessed tokens that were right.",
              stats.accepted_draft_tokens()),
      accepted_per_position(model, stats),
      histogram(labels_of(model), "vllm:iteration_tokens_total", "Tokens computed in a step.", stats.step_tokens),
      histogram({}, "retort_step_seconds", "What a step takes.", stats.step_seconds),
      cache_config_info(model, stats),
  };
}

std::vector<MetricFamily> degradation_families(const Degradation& degradation) {
  MetricFamily now{.name = "retort_degraded",
                   .help = "1 while new requests get less or are sent away, by cause.",
                   .type = MetricType::Gauge,
                   .metric = {}};
  MetricFamily times{.name = "retort_degradations_total",
                     .help = "Times that the server became degraded, by cause.",
                     .type = MetricType::Counter,
                     .metric = {}};
  MetricFamily recoveries{.name = "retort_recoveries_total",
                          .help = "Times that the server was no longer degraded, by cause.",
                          .type = MetricType::Counter,
                          .metric = {}};
  for (const DegradeCause cause : kDegradeCauses) {
    ClientMetric metric;
    metric.label = {{"cause", std::string(name_of(cause))}};
    metric.gauge.value = degradation.is_active(cause) ? 1 : 0;
    now.metric.push_back(metric);
    metric.counter.value = static_cast<double>(degradation.num_times(cause));
    times.metric.push_back(metric);
    metric.counter.value = static_cast<double>(degradation.num_recoveries(cause));
    recoveries.metric.push_back(std::move(metric));
  }
  return {std::move(now), std::move(times), std::move(recoveries)};
}

}  // namespace retort
