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

// One job on its way from the engine to the client.
class JobRun {
 public:
  JobRun(ApiContext& api, http::Exchange& exchange, Reply& reply)
      : api_(api),
        exchange_(exchange),
        reply_(reply),
        generation_(api, exchange, [this](const auto& news) { take(news); }) {}

  boost::asio::awaitable<void> run(bool stream, Job job);
  boost::asio::awaitable<void> end_stream(std::string last);

 private:
  void take(const Generation::News& news);
  boost::asio::awaitable<void> end_with_error(ApiError error);

  ApiContext& api_;
  http::Exchange& exchange_;
  Reply& reply_;
  std::optional<ApiError> failure_;  // the engine's, for good
  Generation generation_;
};

// What the caller has enough of ends at once, however long the client takes to read.
void JobRun::take(const Generation::News& news) {
  if (failure_) return;
  const int sample_idx = news.event.sample_idx;
  if (ApiStatus status = reply_.take(news); !status) {
    failure_ = std::move(status).error();
    generation_.abort();
  } else if (reply_.is_finished(news.request_idx)) {
    generation_.cancel(news.request_idx);
  } else if (!news.event.finish && reply_.is_finished(news.request_idx, sample_idx)) {
    generation_.cancel(news.request_idx, sample_idx);
  }
}

boost::asio::awaitable<void> JobRun::end_stream(std::string last) {
  co_await exchange_.write(std::move(last));
  co_await exchange_.finish_stream();
}

// An error before the first byte has a status of its own, afterwards it is a part of the stream and comes after what
// was generated.
boost::asio::awaitable<void> JobRun::end_with_error(ApiError error) {
  exchange_.note = api_.note_of(error);
  if (exchange_.has_started()) {
    reply_.cut_off();
    std::string last = reply_.chunks();
    last += reply_.error_chunks(error);
    co_await end_stream(std::move(last));
  } else {
    http::Response response = http::error_response(error, reply_.error(error));
    co_await exchange_.respond(std::move(response));
  }
}

boost::asio::awaitable<void> JobRun::run(bool stream, Job job) {
  if (generation_.degrade(job.requests)) reply_.degrade(job.requests);
  if (ApiStatus status = generation_.submit(std::move(job.requests)); !status) {
    co_await end_with_error(std::move(status).error());
    co_return;
  }
  reply_.begin([this] { generation_.abort(); });
  while (!reply_.is_finished()) {
    co_await generation_.next();
    exchange_.note = reply_.note();
    if (exchange_.is_client_gone()) co_return;
    if (failure_ || (generation_.is_timed_out() && !reply_.is_finished())) {
      ApiError error = failure_ ? *failure_ : time_is_up();
      co_await end_with_error(std::move(error));
      co_return;
    }
    if (!stream) continue;
    std::string chunks = reply_.chunks();
    if (!exchange_.has_started()) {
      std::string type(reply_.stream_type());
      co_await exchange_.start_stream(std::move(type));
    }
    co_await exchange_.write(std::move(chunks));
  }
  if (stream) {
    std::string last = reply_.last_chunks();
    co_await end_stream(std::move(last));
  } else {
    http::Response response = http::json_response(reply_.whole());
    co_await exchange_.respond(std::move(response));
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
  Prompt& prompt = prompts_[news.request_idx];
  Sample& sample = choices_[prompt.first_choice + static_cast<size_t>(event.sample_idx)].sample;
  if (sample.is_finished()) return {};  // by a stop string: what comes after it is nobody's
  if (event.finish == FinishReason::kError) return engine_failure(event);
  prompt.num_cached_tokens = std::max(prompt.num_cached_tokens, event.num_cached_tokens);
  if (!event.prompt_logprobs.empty()) prompt.logprobs = event.prompt_logprobs;
  sample.take(event);
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

bool Reply::is_finished(size_t prompt_idx, int sample_idx) const {
  return choices_[prompts_[prompt_idx].first_choice + static_cast<size_t>(sample_idx)].sample.is_finished();
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
  JobRun run(api, exchange, reply);
  std::exception_ptr fault;
  std::string what;
  try {
    co_await run.run(stream, std::move(job));
  } catch (const std::exception& e) {
    fault = std::current_exception();
    what = e.what();
  }
  if (fault == nullptr) co_return;
  const bool is_within_stream = stream && exchange.has_started() && !exchange.is_complete();
  if (!is_within_stream) std::rethrow_exception(fault);
  log::error("[{}] the stream ends with a fault: {}", exchange.request().id, what);
  const ApiError error{.status = 500, .message = "internal error"};
  exchange.note = api.note_of(error);
  std::string last = reply.error_chunks(error);
  co_await run.end_stream(std::move(last));
}

}  // namespace retort
