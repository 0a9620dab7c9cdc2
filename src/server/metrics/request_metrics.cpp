#include "server/metrics/request_metrics.h"

#include <algorithm>

namespace retort {
namespace {

using Buckets = prometheus::Histogram::BucketBoundaries;

const Buckets kFirstTokenSeconds = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75,
                                    1,     2.5,   5,    7.5,  10,   20,   40,   80,  160,  640, 2560};
const Buckets kOutputTokenSeconds = {0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5,
                                     0.75, 1,     2.5,  5,     7.5, 10,   20,  40,  80};
const Buckets kRequestSeconds = {0.3, 0.5, 0.8, 1,  1.5, 2,   2.5, 5,   10,   15,  20,
                                 30,  40,  50,  60, 120, 240, 480, 960, 1920, 7680};
const Buckets kSamples = {1, 2, 5, 10, 20};
const Buckets kPreemptions = {0, 1, 2, 3, 5, 10, 20, 50, 100};
constexpr std::array kFinishReasonNames = {"stop", "length", "abort", "error", "repetition"};  // [FinishReason]

// 1, 2, 5, 10, … up to `max`.
Buckets token_buckets(int64_t max) {
  Buckets buckets;
  for (int64_t decade = 1; decade <= max; decade *= 10)
    for (const int64_t digit : {1, 2, 5})
      if (digit * decade <= max) buckets.push_back(static_cast<double>(digit * decade));
  return buckets;
}

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::max(std::chrono::duration<double>(to - from).count(), 0.0);
}

prometheus::Counter& counter(prometheus::Registry& registry, const char* name, const char* help,
                             const prometheus::Labels& labels) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add(labels);
}

prometheus::Histogram& histogram(prometheus::Registry& registry, const char* name, const char* help,
                                 const prometheus::Labels& labels, const Buckets& buckets) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add(labels, buckets);
}

}  // namespace

RequestMetrics::RequestMetrics(prometheus::Registry& registry, const std::string& model_name, int64_t max_model_len)
    : labels_{{"model_name", model_name}, {"engine", "0"}},
      rejections_(prometheus::BuildCounter()
                      .Name("vllm:admission_rejections_total")
                      .Help("Requests that were not let in.")
                      .Register(registry)),
      prompt_tokens_(counter(registry, "vllm:prompt_tokens_total", "Prompt tokens processed.", labels_)),
      cached_prompt_tokens_(
          counter(registry, "vllm:prompt_tokens_cached_total", "Prompt tokens that the prefix cache gave.", labels_)),
      generation_tokens_(counter(registry, "vllm:generation_tokens_total", "Tokens generated.", labels_)),
      calls_(counter(registry, "deepseek_requests_total", "API calls for text that have ended.", {})),
      num_prompt_tokens_(histogram(registry, "vllm:request_prompt_tokens", "Prompt tokens of a request.", labels_,
                                   token_buckets(max_model_len))),
      num_generation_tokens_(histogram(registry, "vllm:request_generation_tokens", "Tokens generated for a request.",
                                       labels_, token_buckets(max_model_len))),
      max_num_generation_tokens_(histogram(registry, "vllm:request_max_num_generation_tokens",
                                           "Tokens of the longest of a request's samples.", labels_,
                                           token_buckets(max_model_len))),
      param_n_(histogram(registry, "vllm:request_params_n", "The parameter n.", labels_, kSamples)),
      param_max_tokens_(histogram(registry, "vllm:request_params_max_tokens", "The parameter max_tokens.", labels_,
                                  token_buckets(max_model_len))),
      num_preemptions_(
          histogram(registry, "vllm:request_num_preemptions", "Preemptions of a request.", labels_, kPreemptions)),
      time_to_first_token_(histogram(registry, "vllm:time_to_first_token_seconds",
                                     "From a request's arrival to its first token.", labels_, kFirstTokenSeconds)),
      inter_token_(histogram(registry, "vllm:inter_token_latency_seconds", "From a token to the next.", labels_,
                             kOutputTokenSeconds)),
      time_per_output_token_(histogram(registry, "vllm:request_time_per_output_token_seconds",
                                       "A request's mean time for a token after the first.", labels_,
                                       kOutputTokenSeconds)),
      e2e_(histogram(registry, "vllm:e2e_request_latency_seconds", "From a request's arrival to its end.", labels_,
                     kRequestSeconds)),
      queue_(histogram(registry, "vllm:request_queue_time_seconds", "A request's time in the queue.", labels_,
                       kRequestSeconds)),
      inference_(histogram(registry, "vllm:request_inference_time_seconds", "From a request's first step to its last.",
                           labels_, kRequestSeconds)),
      prefill_(histogram(registry, "vllm:request_prefill_time_seconds",
                         "From a request's first step to its first token.", labels_, kRequestSeconds)),
      decode_(histogram(registry, "vllm:request_decode_time_seconds", "From a request's first token to its last.",
                        labels_, kRequestSeconds)),
      call_seconds_(histogram(registry, "deepseek_request_latency_seconds", "API calls for text, start to end.", {},
                              kRequestSeconds)) {
  for (const char* reason : {kQueueIsFull, kDegraded, kKeyLimit}) rejections_.Add(rejection_labels(reason));
  auto& success = prometheus::BuildCounter()
                      .Name("vllm:request_success_total")
                      .Help("Requests that have ended, by the way they did.")
                      .Register(registry);
  for (size_t i = 0; i < kNumFinishReasons; ++i) {
    prometheus::Labels labels = labels_;
    labels["finished_reason"] = kFinishReasonNames[i];
    finished_[i] = &success.Add(labels);
  }
}

void RequestMetrics::count_rejection(const std::string& reason) {
  rejections_.Add(rejection_labels(reason)).Increment();
}

prometheus::Labels RequestMetrics::rejection_labels(const std::string& reason) const {
  prometheus::Labels labels = labels_;
  labels["reason"] = reason;
  return labels;
}

void RequestMetrics::count_call(double seconds) {
  calls_.Increment();
  call_seconds_.Observe(seconds);
}

RequestRecord::RequestRecord(RequestMetrics& metrics, const EngineRequest& request, Clock::time_point arrival)
    : metrics_(&metrics),
      arrival_(arrival),
      submitted_(Clock::now()),
      num_prompt_tokens_(request.prompt.size()),
      max_tokens_(request.params.max_tokens),
      samples_(static_cast<size_t>(request.num_samples)) {
  metrics.param_n_.Observe(request.num_samples);
}

void RequestRecord::take(const TokenEvent& event) {
  Sample& sample = samples_[static_cast<size_t>(event.sample_idx)];
  if (sample.finished) return;
  if (event.scheduled != Clock::time_point{}) scheduled_ = event.scheduled;
  const bool is_computed =
      !event.tokens.empty() || event.finish == FinishReason::kStop || event.finish == FinishReason::kLength;
  if (is_computed && !std::exchange(is_prompt_counted_, true)) {
    metrics_->prompt_tokens_.Increment(static_cast<double>(num_prompt_tokens_));
    metrics_->cached_prompt_tokens_.Increment(event.num_cached_tokens);
  }
  const size_t num_tokens = event.tokens.size() + (event.stop_token ? 1 : 0);  // the token that stops is generated too
  for (size_t i = 0; i < num_tokens; ++i) take_token(sample, event);
  if (event.finish) finish(sample, *event.finish, event.time, event.num_preemptions);
}

void RequestRecord::take_token(Sample& sample, const TokenEvent& event) {
  metrics_->generation_tokens_.Increment();
  if (sample.num_tokens++ == 0) {
    sample.first_token = event.time;
    metrics_->time_to_first_token_.Observe(seconds_between(arrival_, event.time));
  } else {
    metrics_->inter_token_.Observe(seconds_between(sample.last_token, event.time));
  }
  sample.last_token = event.time;
}

void RequestRecord::end(FinishReason reason) {
  for (int i = 0; i < std::ssize(samples_); ++i) end(i, reason);
}

void RequestRecord::end(int sample_idx, FinishReason reason) {
  Sample& sample = samples_[static_cast<size_t>(sample_idx)];
  if (!sample.finished) finish(sample, reason, Clock::now(), 0);
}

void RequestRecord::finish(Sample& sample, FinishReason reason, Clock::time_point now, int num_preemptions) {
  sample.finished = true;
  RequestMetrics& metrics = *metrics_;
  metrics.finished_[static_cast<size_t>(reason)]->Increment();
  metrics.e2e_.Observe(seconds_between(arrival_, now));
  metrics.queue_.Observe(seconds_between(submitted_, scheduled_ == Clock::time_point{} ? now : scheduled_));
  metrics.num_prompt_tokens_.Observe(static_cast<double>(num_prompt_tokens_));
  metrics.num_generation_tokens_.Observe(sample.num_tokens);
  metrics.num_preemptions_.Observe(num_preemptions);
  if (max_tokens_ > 0) metrics.param_max_tokens_.Observe(max_tokens_);
  if (sample.num_tokens > 0) {
    metrics.prefill_.Observe(seconds_between(scheduled_, sample.first_token));
    metrics.inference_.Observe(seconds_between(scheduled_, sample.last_token));
    metrics.decode_.Observe(seconds_between(sample.first_token, sample.last_token));
  }
  if (sample.num_tokens > 1)
    metrics.time_per_output_token_.Observe(seconds_between(sample.first_token, sample.last_token) /
                                           (sample.num_tokens - 1));
  if (++num_finished_ < samples_.size()) return;
  const auto longest = std::ranges::max(samples_, {}, &Sample::num_tokens);
  metrics.max_num_generation_tokens_.Observe(longest.num_tokens);
}

}  // namespace retort
