#include "server/reply.h"

#include <algorithm>
#include <exception>

#include "base/log.h"

namespace retort {
namespace {

tl::unexpected<ApiError> engine_failure(const TokenEvent& event) {
  if (event.error_kind == ErrorKind::kTooLarge)
    return refuse(400, "the form that the answer must have cannot be held to: " + event.error, {}, "form_too_complex");
  if (event.error_kind == ErrorKind::kBadInput)
    return refuse(400, "no token may come next: allowed_token_ids, bad_words, logit_bias and min_tokens leave none");
  return refuse(500, event.error.empty() ? "the engine failed" : event.error);
}

boost::asio::awaitable<void> end_stream(http::Exchange& exchange, std::string last) {
  co_await exchange.write(std::move(last));
  co_await exchange.finish_stream();
}

// An error before the first byte has a status of its own, afterwards it is a part of the stream.
boost::asio::awaitable<void> end_with_error(const ApiContext& api, http::Exchange& exchange, const Reply& reply,
                                            ApiError error) {
  exchange.note = api.note_of(error);
  if (exchange.has_started()) {
    std::string last = reply.error_chunks(error);
    co_await end_stream(exchange, std::move(last));
  } else {
    http::Response response = http::error_response(error, reply.error(error));
    co_await exchange.respond(std::move(response));
  }
}

boost::asio::awaitable<void> follow_job(ApiContext& api, http::Exchange& exchange, bool stream, Job job, Reply& reply) {
  Generation generation(api, exchange);
  if (generation.degrade(job.requests)) reply.degrade(job.requests);
  if (ApiStatus status = generation.submit(std::move(job.requests)); !status) {
    co_await end_with_error(api, exchange, reply, std::move(status).error());
    co_return;
  }
  reply.begin([&generation] { generation.abort(); });
  while (!reply.is_finished()) {
    const std::vector<Generation::News> news = co_await generation.next();
    exchange.note = reply.note();
    if (exchange.is_client_gone()) co_return;
    for (const Generation::News& item : news) {
      if (ApiStatus status = reply.take(item); !status) {
        co_await end_with_error(api, exchange, reply, std::move(status).error());
        co_return;
      }
      if (reply.is_finished(item.request_idx)) generation.cancel(item.request_idx);  // by a stop string, perhaps
    }
    if (generation.is_timed_out() && !reply.is_finished()) {
      ApiError error = time_is_up();
      co_await end_with_error(api, exchange, reply, std::move(error));
      co_return;
    }
    if (!stream) continue;
    std::string chunks = reply.chunks();
    if (!exchange.has_started()) {
      std::string type(reply.stream_type());
      co_await exchange.start_stream(std::move(type));
    }
    co_await exchange.write(std::move(chunks));
  }
  exchange.note = reply.note();
  if (stream) {
    std::string last = reply.last_chunks();
    co_await end_stream(exchange, std::move(last));
  } else {
    http::Response response = http::json_response(reply.whole());
    co_await exchange.respond(std::move(response));
  }
}

}  // namespace

Reply::Reply(const ServedModel& model, const Job& job) : model_(model) {
  for (size_t prompt_idx = 0; prompt_idx < job.requests.size(); ++prompt_idx) {
    const EngineRequest& request = job.requests[prompt_idx];
    const auto n = static_cast<size_t>(request.num_samples);
    prompts_.push_back({.tokens = request.prompt, .logprobs = {}, .first_choice = choices_.size(), .num_choices = n});
    for (size_t i = 0; i < n; ++i) {
      choices_.push_back({Sample(*model.tokenizer, job.sample_options[prompt_idx]), prompt_idx});
      choices_.back().sample.prepend(job.echoes[prompt_idx]);
    }
  }
}

ApiStatus Reply::take(const Generation::News& news) {
  const TokenEvent& event = news.event;
  if (event.finish == FinishReason::kError) return engine_failure(event);
  Prompt& prompt = prompts_[news.request_idx];
  prompt.num_cached_tokens = std::max(prompt.num_cached_tokens, event.num_cached_tokens);
  if (!event.prompt_logprobs.empty()) prompt.logprobs = event.prompt_logprobs;
  choices_[prompt.first_choice + static_cast<size_t>(event.sample_idx)].sample.take(event);
  return {};
}

bool Reply::is_finished() const {
  for (size_t idx = 0; idx < prompts_.size(); ++idx)
    if (!is_finished(idx)) return false;
  return true;
}

bool Reply::is_finished(size_t prompt_idx) const {
  const auto first = choices_.begin() + static_cast<std::ptrdiff_t>(prompts_[prompt_idx].first_choice);
  return std::all_of(first, first + static_cast<std::ptrdiff_t>(prompts_[prompt_idx].num_choices),
                     [](const Choice& choice) { return choice.sample.is_finished(); });
}

Usage Reply::usage() const {
  Usage usage;
  for (const Prompt& prompt : prompts_) {
    usage.prompt_tokens += static_cast<int64_t>(prompt.tokens.size());
    usage.cached_tokens += prompt.num_cached_tokens;
  }
  for (const Choice& choice : choices_) {
    usage.completion_tokens += choice.sample.num_tokens();
    usage.reasoning_tokens += choice.sample.num_reasoning_tokens();
  }
  return usage;
}

std::string Reply::note() const {
  const Usage numbers = usage();
  return fmt::format("{} prompt tokens ({} cached), {} generated", numbers.prompt_tokens, numbers.cached_tokens,
                     numbers.completion_tokens);
}

boost::asio::awaitable<void> run_job(ApiContext& api, http::Exchange& exchange, bool stream, Job job, Reply& reply) {
  std::exception_ptr fault;
  std::string what;
  try {
    co_await follow_job(api, exchange, stream, std::move(job), reply);
  } catch (const std::exception& e) {
    fault = std::current_exception();
    what = e.what();
  }
  if (fault == nullptr) co_return;
  const bool is_within_stream = stream && exchange.has_started() && !exchange.is_complete();
  if (!is_within_stream) std::rethrow_exception(fault);
  log::error("[{}] the stream ends with a fault: {}", exchange.request().id, what);
  ApiError error{.status = 500, .message = "internal error"};
  co_await end_with_error(api, exchange, reply, std::move(error));
}

}  // namespace retort
