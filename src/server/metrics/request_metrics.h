// What requests for text did, under vLLM's names, labels and classes (vllm/v1/metrics/loggers.py and stats.py, 0.32).
// As there, each of a request's n samples counts as a request. I/O thread.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <string>
#include <vector>

#include "engine/request.h"

namespace retort {

class RequestMetrics {
 public:
  RequestMetrics(prometheus::Registry& registry, const std::string& model_name, int64_t max_model_len);

  static constexpr const char* kQueueIsFull = "max_num_queued_reqs";  // vLLM's word
  static constexpr const char* kDegraded = "degraded";
  static constexpr const char* kKeyLimit = "max_requests_per_key";
  // A request was not let in.
  void count_rejection(const std::string& reason);
  // An API call for text ended, however it did.
  void count_call(double seconds);

 private:
  friend class RequestRecord;
  static constexpr size_t kNumFinishReasons = 5;

  prometheus::Labels rejection_labels(const std::string& reason) const;

  prometheus::Labels labels_;
  prometheus::Family<prometheus::Counter>& rejections_;
  prometheus::Counter &prompt_tokens_, &cached_prompt_tokens_, &generation_tokens_, &calls_;
  std::array<prometheus::Counter*, kNumFinishReasons> finished_;  // [FinishReason]
  prometheus::Histogram &num_prompt_tokens_, &num_generation_tokens_, &max_num_generation_tokens_;
  prometheus::Histogram &param_n_, &param_max_tokens_, &num_preemptions_;
  prometheus::Histogram &time_to_first_token_, &inter_token_, &time_per_output_token_;
  prometheus::Histogram &e2e_, &queue_, &inference_, &prefill_, &decode_, &call_seconds_;
};

// One engine request, from its submission to the end of its last sample.
class RequestRecord {
 public:
  // `arrival`: of the API call.
  RequestRecord(RequestMetrics& metrics, const EngineRequest& request, Clock::time_point arrival);

  void take(const TokenEvent& event);
  bool is_finished() const { return num_finished_ == samples_.size(); }
  // Nobody waits for more: the samples that have not ended do so now.
  void end(FinishReason reason);
  void end(int sample_idx, FinishReason reason);

 private:
  struct Sample {
    Clock::time_point first_token{}, last_token{};
    int num_tokens = 0;
    bool finished = false;
  };
  void take_token(Sample& sample, const TokenEvent& event);
  void finish(Sample& sample, FinishReason reason, Clock::time_point now, int num_preemptions);

  RequestMetrics* metrics_;
  Clock::time_point arrival_, submitted_, scheduled_{};
  size_t num_prompt_tokens_;
  int max_tokens_;
  std::vector<Sample> samples_;
  size_t num_finished_ = 0;
  bool is_prompt_counted_ = false;
};

}  // namespace retort
