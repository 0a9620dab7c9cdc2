#include "server/generation.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace retort {

namespace asio = boost::asio;

Generation::Generation(ApiContext& api, http::Exchange& exchange, std::function<void(const News&)> take)
    : api_(api),
      exchange_(exchange),
      take_(std::move(take)),
      engine_(*api.model->engine),
      bell_(exchange.executor(), asio::steady_timer::time_point::max()),
      deadline_(exchange.executor(), exchange.arrival() + api.request_timeout),
      inbox_(std::make_shared<Inbox>(Inbox{exchange.executor(), this})) {
  exchange_.on_client_gone([this] { bell_.cancel(); });
  deadline_.async_wait([inbox = inbox_](boost::system::error_code error) {
    if (!error && inbox->owner != nullptr) inbox->owner->run_out_of_time();
  });
}

Generation::~Generation() {
  inbox_->owner = nullptr;
  exchange_.on_client_gone({});
  for (const RequestId id : ids_) engine_.cancel(id);
  const bool is_well = std::ranges::all_of(records_, &RequestRecord::is_finished);
  for (RequestRecord& record : records_) record.end(FinishReason::kAbort);
  if (ids_.empty()) return;
  if (is_well || is_timed_out_) api_.degradation.see_end(is_timed_out_, Clock::now());
  api_.metrics.requests().count_call(std::chrono::duration<double>(Clock::now() - exchange_.arrival()).count());
}

bool Generation::degrade(std::vector<EngineRequest>& requests) const {
  constexpr int kMaxTokens = 512;
  constexpr float kTemperature = 0.3f;
  const auto cause = api_.degradation.cause();
  if (!cause) return false;
  exchange_.add_header("x-retort-degraded", std::string(name_of(*cause)));
  for (EngineRequest& request : requests) {
    request.params.max_tokens = std::min(request.params.max_tokens, kMaxTokens);
    request.params.min_tokens = std::min(request.params.min_tokens, kMaxTokens);
    request.params.temperature = std::min(request.params.temperature, kTemperature);
  }
  return true;
}

// The engine counts those of this call that it has taken already as waiting, and so could not say what is wrong.
ApiStatus Generation::check_room(const std::vector<EngineRequest>& requests) {
  if (requests.size() == 1) return {};
  int64_t num = 0;
  for (const EngineRequest& request : requests) num += request.num_samples;
  const EngineConfig& config = engine_.config();
  if (num > engine_.most_sequences())
    return refuse(400, fmt::format("{} sequences at once are more than the server can take: --max-num-seqs is {} and "
                                   "--max-waiting {}",
                                   num, config.max_num_seqs, config.max_waiting));
  const int num_here = engine_.stats().num_unfinished;
  if (num_here + num <= engine_.most_sequences()) return {};
  api_.metrics.requests().count_rejection(RequestMetrics::kQueueIsFull);
  return tl::unexpected<ApiError>(
      {.status = 429,
       .message = fmt::format("the queue has no room for {} sequences: {} run or wait, --max-num-seqs is {} and "
                              "--max-waiting {}",
                              num, num_here, config.max_num_seqs, config.max_waiting),
       .retry_after = 1});
}

ApiStatus Generation::submit(std::vector<EngineRequest> requests) {
  RETORT_API_TRY(check_room(requests));
  for (size_t i = 0; i < requests.size(); ++i) {
    requests[i].on_event = [inbox = inbox_, i](TokenEvent event) {
      auto deliver = [inbox, news = News{i, std::move(event)}] {
        if (inbox->owner != nullptr) inbox->owner->deliver(news);
      };
      asio::post(inbox->executor, std::move(deliver));
    };
    RequestRecord record(api_.metrics.requests(), requests[i], exchange_.arrival());
    const Result<RequestId> id = engine_.submit(std::move(requests[i]));
    if (!id) return tl::unexpected<ApiError>(refusal(id.error()));
    ids_.push_back(*id);
    records_.push_back(std::move(record));
  }
  return {};
}

ApiError Generation::refusal(const Error& error) {
  ApiError answer = to_api_error(error);
  if (answer.status == 503 && api_.live_model()) {  // nothing is wrong but the queue is full
    answer.status = 429;
    api_.metrics.requests().count_rejection(RequestMetrics::kQueueIsFull);
  }
  return answer;
}

void Generation::cancel(size_t request_idx) {
  engine_.cancel(ids_[request_idx]);
  records_[request_idx].end(FinishReason::kStop);
}

void Generation::cancel(size_t request_idx, int sample_idx) {
  engine_.cancel(ids_[request_idx], sample_idx);
  records_[request_idx].end(sample_idx, FinishReason::kStop);
}

void Generation::abort() {
  for (const RequestId id : ids_) engine_.cancel(id);
}

// Also while a reader takes its time. Who has all that will come is only being told.
void Generation::run_out_of_time() {
  if (!ids_.empty() && std::ranges::all_of(records_, &RequestRecord::is_finished)) return;
  is_timed_out_ = true;
  abort();
  bell_.cancel();
}

void Generation::deliver(const News& news) {
  records_[news.request_idx].take(news.event);
  if (is_timed_out_ || fault_ != nullptr) return;
  try {
    take_(news);
  } catch (...) {
    fault_ = std::current_exception();
  }
  has_news_ = true;
  bell_.cancel();
}

asio::awaitable<void> Generation::next() {
  while (!has_news_ && !exchange_.is_client_gone() && !is_timed_out_)
    co_await bell_.async_wait(asio::as_tuple(asio::use_awaitable));
  has_news_ = false;
  if (fault_ != nullptr) std::rethrow_exception(fault_);
}

}  // namespace retort
