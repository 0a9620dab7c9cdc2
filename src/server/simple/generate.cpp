// POST /generate and /generate-batch.
#include <cmath>

#include "server/openai/jobs.h"
#include "server/prepare.h"
#include "server/simple/endpoints.h"
#include "server/simple/generate_request.h"

namespace retort::simple {
namespace {

// The prompt is a user's message where the model knows chats, and a text to go on with where it does not.
ApiResult<Job> job_of(const ServedModel& model, const GenerateRequest& asked) {
  const auto with_params = [&](auto request) {
    request.max_tokens = asked.max_tokens;
    request.temperature = asked.temperature;
    request.top_p = asked.top_p;
    return request;
  };
  if (model.chat_template == nullptr) {
    auto request = with_params(openai::CompletionRequest());
    request.prompts.emplace_back(asked.prompt);
    return completion_job(model, request);
  }
  auto request = with_params(openai::ChatRequest());
  request.messages = Json::array({{{"role", "user"}, {"content", asked.prompt}}});
  return chat_job(model, request);
}

class SimpleReply : public Reply {
 public:
  SimpleReply(const ServedModel& model, const Job& job, Clock::time_point arrival)
      : Reply(model, job), arrival_(arrival) {}

  Json whole() override {
    Json json = answer_of(0);
    json["latency_ms"] = latency_ms();
    return json;
  }

 protected:
  Json answer_of(size_t idx) {
    Sample& sample = choices()[idx].sample;
    Delta delta = sample.take_delta();
    Json json = {{"response", std::move(delta.content)}, {"finish_reason", sample.finish_reason()}};
    if (!delta.reasoning.empty()) json["reasoning"] = std::move(delta.reasoning);
    return json;
  }

  double latency_ms() const {
    return std::round(std::chrono::duration<double, std::milli>(Clock::now() - arrival_).count() * 10) / 10;
  }

 private:
  Clock::time_point arrival_;
};

class BatchReply : public SimpleReply {
 public:
  BatchReply(const ServedModel& model, const Job& job, Clock::time_point arrival, std::vector<Json> ids)
      : SimpleReply(model, job, arrival), ids_(std::move(ids)) {}

  Json whole() override {
    Json results = Json::array();
    for (size_t idx = 0; idx < ids_.size(); ++idx) {
      Json result = answer_of(idx);
      result["request_id"] = ids_[idx];
      results.push_back(std::move(result));
    }
    return {{"results", std::move(results)}, {"latency_ms", latency_ms()}};
  }

 private:
  std::vector<Json> ids_;
};

struct Batch {
  Job job;
  std::vector<Json> ids;
};

ApiResult<Batch> prepare_batch(const ServedModel& model, const Json& body) {
  RETORT_API_ASSIGN(const std::vector<GenerateRequest> requests, parse_batch(body));
  Batch batch;
  for (size_t i = 0; i < requests.size(); ++i) {
    ApiResult<Job> one = job_of(model, requests[i]);
    if (!one) {
      one.error().message.insert(0, fmt::format("[{}]: ", i));
      return tl::unexpected<ApiError>(std::move(one).error());
    }
    batch.job.requests.push_back(std::move(one->requests[0]));
    batch.job.sample_options.push_back(std::move(one->sample_options[0]));
    batch.job.echoes.emplace_back();
    batch.ids.push_back(requests[i].id);
  }
  return batch;
}

}  // namespace

boost::asio::awaitable<void> generate(ApiContext& api, http::Exchange& exchange) {
  const auto arrival = Clock::now();
  const ApiResult<const ServedModel*> model = api.working_model();
  auto prepare = [query = exchange.request().query](const ServedModel& served, const Json& body) -> ApiResult<Job> {
    RETORT_API_ASSIGN(const GenerateRequest request, parse_generate_request(body, query));
    return job_of(served, request);
  };
  std::optional<Job> job = co_await prepare_request(api, exchange, model, std::move(prepare));
  if (!job) co_return;
  SimpleReply reply(**model, *job, arrival);
  co_await run_job(api, exchange, false, std::move(*job), reply);
}

boost::asio::awaitable<void> generate_batch(ApiContext& api, http::Exchange& exchange) {
  const auto arrival = Clock::now();
  const ApiResult<const ServedModel*> model = api.working_model();
  std::optional<Batch> batch = co_await prepare_request(api, exchange, model, prepare_batch);
  if (!batch) co_return;
  BatchReply reply(**model, batch->job, arrival, std::move(batch->ids));
  co_await run_job(api, exchange, false, std::move(batch->job), reply);
}

void add_routes(http::Router& router, ApiContext& api) {
  router.add({.method = "POST",
              .path = "/generate",
              .handler = [&api](http::Exchange& exchange) { return generate(api, exchange); },
              .without_body = true,
              .takes_query = true});
  router.add({.method = "POST", .path = "/generate-batch", .handler = [&api](http::Exchange& exchange) {
                return generate_batch(api, exchange);
              }});
}

}  // namespace retort::simple
