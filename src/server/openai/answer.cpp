#include "server/openai/answer.h"

#include <algorithm>

#include "server/openai/logprobs.h"
#include "server/sse.h"

namespace retort::openai {

Answer::Answer(const ServedModel& model, const GenerateRequest& request, AnswerHead head, const Job& job)
    : model_(model), request_(request), head_(std::move(head)) {
  for (size_t prompt_idx = 0; prompt_idx < job.requests.size(); ++prompt_idx) {
    prompts_.push_back({.tokens = job.requests[prompt_idx].prompt, .logprobs = {}});
    for (int i = 0; i < request.n; ++i) {
      choices_.push_back({Sample(*model.tokenizer, job.sample_options[prompt_idx]), prompt_idx});
      choices_.back().sample.prepend(job.echoes[prompt_idx]);
    }
  }
}

ApiStatus Answer::take(const Generation::News& news) {
  const TokenEvent& event = news.event;
  if (event.finish == FinishReason::kError) return refuse(500, event.error.empty() ? "the engine failed" : event.error);
  Prompt& prompt = prompts_[news.request_idx];
  prompt.num_cached_tokens = std::max(prompt.num_cached_tokens, event.num_cached_tokens);
  if (!event.prompt_logprobs.empty()) prompt.logprobs = event.prompt_logprobs;
  choices_[news.request_idx * static_cast<size_t>(request_.n) + static_cast<size_t>(event.sample_idx)].sample.take(
      event);
  return {};
}

bool Answer::is_finished() const {
  return std::all_of(choices_.begin(), choices_.end(),
                     [](const Choice& choice) { return choice.sample.is_finished(); });
}

bool Answer::is_finished(size_t prompt_idx) const {
  return std::all_of(choices_.begin(), choices_.end(), [&](const Choice& choice) {
    return choice.prompt_idx != prompt_idx || choice.sample.is_finished();
  });
}

Json Answer::usage() const {
  int64_t prompt = 0, cached = 0, completion = 0, reasoning = 0;
  for (const Prompt& p : prompts_) {
    prompt += static_cast<int64_t>(p.tokens.size());
    cached += p.num_cached_tokens;
  }
  for (const Choice& choice : choices_) {
    completion += choice.sample.num_tokens();
    reasoning += choice.sample.num_reasoning_tokens();
  }
  return {{"prompt_tokens", prompt},
          {"completion_tokens", completion},
          {"total_tokens", prompt + completion},
          {"prompt_tokens_details", Json::object({{"cached_tokens", cached}})},
          {"completion_tokens_details", Json::object({{"reasoning_tokens", reasoning}})}};
}

std::string Answer::note() const {
  const Json numbers = usage();
  return fmt::format("{} prompt tokens ({} cached), {} generated", numbers["prompt_tokens"].get<int64_t>(),
                     numbers["prompt_tokens_details"]["cached_tokens"].get<int64_t>(),
                     numbers["completion_tokens"].get<int64_t>());
}

Json Answer::chunk(Json choices) const {
  Json json = {{"id", head_.id},
               {"object", head_.chunk_object},
               {"created", head_.created},
               {"model", head_.model},
               {"choices", std::move(choices)}};
  if (request_.continuous_usage_stats)
    json["usage"] = usage();
  else if (request_.include_usage)
    json["usage"] = nullptr;
  return json;
}

// Whether what is new of a choice makes a chunk now.
bool Answer::is_due(const Choice& choice) const {
  if (choice.sample.is_finished()) return true;
  const Delta& delta = choice.sample.delta();
  if (delta.content.empty() && delta.reasoning.empty() && delta.tokens.empty()) return false;
  return !choice.has_begun || delta.num_tokens >= request_.stream_interval;
}

void Answer::append_chunks(size_t idx, std::string& events) {
  Choice& choice = choices_[idx];
  const auto add = [&](Json body) {
    Json with_index = {{"index", idx}};
    with_index.update(body);
    events += sse_event(chunk(Json::array({std::move(with_index)})));
  };
  if (choice.has_ended || !is_due(choice)) return;
  if (!choice.has_begun)
    if (Json first = first_chunk_body(); !first.is_null()) add(std::move(first));
  Json body = chunk_body(choice, choice.sample.take_delta());
  choice.has_begun = true;
  if (choice.sample.is_finished()) {
    body["finish_reason"] = choice.sample.finish_reason();
    body["stop_reason"] = choice.sample.stop_reason();
    choice.has_ended = true;
  }
  add(std::move(body));
}

std::string Answer::chunks() {
  std::string events;
  for (size_t idx = 0; idx < choices_.size(); ++idx) append_chunks(idx, events);
  return events;
}

std::string Answer::last_chunks() {
  std::string events;
  if (request_.include_usage) {
    Json last = chunk(Json::array());
    last["usage"] = usage();
    events = sse_event(last);
  }
  return events += kStreamDone;
}

Json Answer::whole() {
  Json choices = Json::array();
  for (size_t idx = 0; idx < choices_.size(); ++idx) {
    Choice& choice = choices_[idx];
    const Delta delta = choice.sample.take_delta();
    Json body = {{"index", idx}};
    body.update(whole_body(choice, delta));
    body["finish_reason"] = choice.sample.finish_reason();
    body["stop_reason"] = choice.sample.stop_reason();
    if (request_.return_token_ids) body["token_ids"] = token_ids(delta.tokens);
    choices.push_back(std::move(body));
  }
  return {{"id", head_.id},       {"object", head_.object},        {"created", head_.created},
          {"model", head_.model}, {"choices", std::move(choices)}, {"usage", usage()}};
}

void Answer::add_prompt_details(size_t prompt_idx, Json& json) const {
  const Prompt& prompt = prompts_[prompt_idx];
  if (request_.prompt_logprobs)
    json["prompt_logprobs"] = prompt_logprobs_json(tokenizer(), prompt.tokens, prompt.logprobs);
  if (request_.return_token_ids) json["prompt_token_ids"] = prompt.tokens;
}

namespace {

ApiError time_is_up() {
  return {
      .status = 408, .message = "the request did not finish within the server's time limit", .retry_is_useless = true};
}

boost::asio::awaitable<void> end_stream(http::Exchange& exchange, std::string last) {
  co_await exchange.write(std::move(last));
  co_await exchange.finish_stream();
}

// An error before the first byte has a status of its own, afterwards it is an event.
boost::asio::awaitable<void> end_with_error(http::Exchange& exchange, ApiError error) {
  exchange.note = error.message;
  if (exchange.has_started()) {
    std::string last = sse_event(error_json(error)) + std::string(kStreamDone);
    co_await end_stream(exchange, std::move(last));
  } else {
    http::Response response = http::error_response(error);
    co_await exchange.respond(std::move(response));
  }
}

}  // namespace

boost::asio::awaitable<void> run_job(const ApiContext& api, http::Exchange& exchange, const GenerateRequest& request,
                                     Job job, Answer& answer) {
  Generation generation(exchange, *api.model->engine, api.request_timeout);
  if (ApiStatus status = generation.submit(std::move(job.requests)); !status) {
    ApiError error = std::move(status).error();
    if (error.status == 503 && api.working_model()) error.status = 429;  // nothing is wrong but the queue is full
    co_await end_with_error(exchange, std::move(error));
    co_return;
  }
  while (!answer.is_finished()) {
    const std::vector<Generation::News> news = co_await generation.next();
    exchange.note = answer.note();
    if (exchange.is_client_gone()) co_return;
    if (generation.is_timed_out()) {
      ApiError error = time_is_up();
      co_await end_with_error(exchange, std::move(error));
      co_return;
    }
    for (const Generation::News& item : news) {
      if (ApiStatus status = answer.take(item); !status) {
        co_await end_with_error(exchange, std::move(status).error());
        co_return;
      }
      if (answer.is_finished(item.request_idx)) generation.cancel(item.request_idx);  // by a stop string, perhaps
    }
    if (!request.stream) continue;
    std::string chunks = answer.chunks();
    if (!exchange.has_started()) {
      std::string type(kEventStream);
      co_await exchange.start_stream(std::move(type));
    }
    co_await exchange.write(std::move(chunks));
  }
  exchange.note = answer.note();
  if (request.stream) {
    std::string last = answer.last_chunks();
    co_await end_stream(exchange, std::move(last));
  } else {
    http::Response response = http::json_response(answer.whole());
    co_await exchange.respond(std::move(response));
  }
}

}  // namespace retort::openai
