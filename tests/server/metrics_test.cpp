#include "server/metrics/metrics.h"

#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include "fake_model.h"

namespace retort {
namespace {

using namespace std::chrono_literals;

const Clock::time_point kStart = Clock::now() - 1h;  // the records must take the events' times, not the time of day

// What the text says of a series, "name{labels}"; -1 when it has none.
double value_of(const std::string& text, const std::string& series) {
  const size_t at = text.find("\n" + series + " ");
  return at == std::string::npos ? -1 : std::stod(text.substr(at + series.size() + 2));
}

class RequestRecordTest : public ::testing::Test {
 protected:
  RequestRecord record(int num_samples = 1, size_t num_prompt_tokens = 7) {
    EngineRequest request{.prompt = std::vector<TokenId>(num_prompt_tokens, 1), .params = {.max_tokens = 50}};
    request.num_samples = num_samples;
    return {metrics_, request, kStart};
  }
  static TokenEvent token(Clock::duration after, int sample_idx = 0) {
    TokenEvent event{.sample_idx = sample_idx, .time = kStart + after, .scheduled = kStart + 1s};
    event.tokens.push_back({.id = 1, .logprob = {}, .top_logprobs = {}});
    return event;
  }
  static TokenEvent last(Clock::duration after, FinishReason reason, int sample_idx = 0) {
    TokenEvent event = token(after, sample_idx);
    event.finish = reason;
    return event;
  }
  double value(const std::string& name, const std::string& more_labels = "") {
    const std::string text = "\n" + prometheus::TextSerializer().Serialize(registry_.Collect());
    return value_of(text, "vllm:" + name + "{engine=\"0\"" + more_labels + ",model_name=\"m\"}");
  }

  prometheus::Registry registry_;
  RequestMetrics metrics_{registry_, "m", 1000};
};

TEST_F(RequestRecordTest, TimesARequestByItsEvents) {
  RequestRecord r = record();
  TokenEvent first = token(3s);
  first.num_cached_tokens = 4;
  r.take(first);
  r.take(token(4s));
  TokenEvent end = last(6s, FinishReason::kLength);
  end.num_preemptions = 2;
  r.take(end);
  EXPECT_EQ(value("time_to_first_token_seconds_sum"), 3);
  EXPECT_EQ(value("inter_token_latency_seconds_sum"), 3);
  EXPECT_EQ(value("inter_token_latency_seconds_count"), 2);
  EXPECT_EQ(value("request_prefill_time_seconds_sum"), 2);
  EXPECT_EQ(value("request_decode_time_seconds_sum"), 3);
  EXPECT_EQ(value("request_inference_time_seconds_sum"), 5);
  EXPECT_EQ(value("request_time_per_output_token_seconds_sum"), 1.5);
  EXPECT_EQ(value("e2e_request_latency_seconds_sum"), 6);
  EXPECT_EQ(value("request_num_preemptions_sum"), 2);
  EXPECT_EQ(value("prompt_tokens_total"), 7);
  EXPECT_EQ(value("prompt_tokens_cached_total"), 4);
  EXPECT_EQ(value("generation_tokens_total"), 3);
  EXPECT_EQ(value("request_params_max_tokens_sum"), 50);
  EXPECT_EQ(value("request_success_total", ",finished_reason=\"length\""), 1);
}

TEST_F(RequestRecordTest, CountsEachSampleAndTheRequestOnce) {
  RequestRecord r = record(3);
  for (int sample : {0, 1, 2}) r.take(token(2s, sample));
  r.take(token(3s, 1));
  for (int sample : {0, 1, 2}) r.take(last(5s, FinishReason::kLength, sample));
  EXPECT_EQ(value("request_success_total", ",finished_reason=\"length\""), 3);
  EXPECT_EQ(value("e2e_request_latency_seconds_count"), 3);
  EXPECT_EQ(value("prompt_tokens_total"), 7) << "computed once";
  EXPECT_EQ(value("request_prompt_tokens_sum"), 21);
  EXPECT_EQ(value("request_generation_tokens_sum"), 7);
  EXPECT_EQ(value("request_max_num_generation_tokens_sum"), 3);
  EXPECT_EQ(value("request_max_num_generation_tokens_count"), 1);
  EXPECT_EQ(value("request_params_n_sum"), 3);
  EXPECT_EQ(value("request_params_n_count"), 1);
}

TEST_F(RequestRecordTest, CountsTheTokenThatStops) {
  RequestRecord r = record();
  TokenEvent end{.finish = FinishReason::kStop, .stop_token = 9, .time = kStart + 2s, .scheduled = kStart + 1s};
  r.take(end);
  EXPECT_EQ(value("generation_tokens_total"), 1) << "as usage does";
  EXPECT_EQ(value("time_to_first_token_seconds_count"), 1);
  EXPECT_EQ(value("request_success_total", ",finished_reason=\"stop\""), 1);
  EXPECT_EQ(value("request_time_per_output_token_seconds_count"), 0) << "one token has no time between tokens";
}

TEST_F(RequestRecordTest, EndsOnce) {
  RequestRecord r = record(2);
  r.take(last(2s, FinishReason::kLength, 0));
  r.end(FinishReason::kStop);
  r.end(FinishReason::kAbort);
  r.take(last(9s, FinishReason::kAbort, 1));
  EXPECT_EQ(value("request_success_total", ",finished_reason=\"length\""), 1);
  EXPECT_EQ(value("request_success_total", ",finished_reason=\"stop\""), 1);
  EXPECT_EQ(value("request_success_total", ",finished_reason=\"abort\""), 0);
  EXPECT_EQ(value("e2e_request_latency_seconds_count"), 2);
}

TEST_F(RequestRecordTest, ARequestThatNeverRanOnlyWaited) {
  RequestRecord r = record();
  r.take({.finish = FinishReason::kAbort, .time = kStart + 2s});
  EXPECT_EQ(value("prompt_tokens_total"), 0);
  EXPECT_EQ(value("request_queue_time_seconds_count"), 1);
  EXPECT_EQ(value("request_prefill_time_seconds_count"), 0);
  EXPECT_EQ(value("request_success_total", ",finished_reason=\"abort\""), 1);
}

TEST(Metrics, ClientsCannotMakeSeries) {
  Metrics metrics;
  for (const char* method : {"GET", "DELETE", "BREW", "PROPFIND", "x\"y"}) metrics.count_answer(method, "", 404);
  const std::string text = metrics.text(Degradation({}));
  EXPECT_EQ(value_of(text, R"(http_requests_total{handler="none",method="GET",status="404"})"), 1);
  EXPECT_EQ(value_of(text, R"(http_requests_total{handler="none",method="DELETE",status="404"})"), 1);
  EXPECT_EQ(value_of(text, R"(http_requests_total{handler="none",method="other",status="404"})"), 3);
  EXPECT_EQ(text.find("BREW"), std::string::npos);
  EXPECT_EQ(text.find("vllm:"), std::string::npos) << "no model yet";
  EXPECT_GT(value_of(text, "process_resident_memory_bytes"), 1e6);
}

TEST(Metrics, TellHowTheEngineIs) {
  testing::FakeModel model;
  const ServedModel served = model.served();
  Metrics metrics;
  metrics.serve(served);
  const std::string text = metrics.text(Degradation({}));
  EXPECT_EQ(value_of(text, R"(vllm:num_requests_running{model_name="fake",engine="0"})"), 0);
  EXPECT_EQ(value_of(text, R"(vllm:iteration_tokens_total_bucket{model_name="fake",engine="0",le="+Inf"})"), 0);
  EXPECT_EQ(value_of(text,
                     "vllm:cache_config_info{engine=\"0\",block_size=\"32\",cache_dtype=\"bf16\","
                     "enable_prefix_caching=\"True\",num_gpu_blocks=\"64\"}"),
            1);
}

}  // namespace
}  // namespace retort
