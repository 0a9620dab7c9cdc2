#include "cli/measure/breakdown.h"

#include <fmt/format.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "kernels/kv_block.h"
#include "text/detokenizer.h"

namespace retort {
namespace {

// What comes from the engine thread, for the thread that makes text of it.
class Events {
 public:
  void push(int request, TokenEvent event) {
    const std::lock_guard lock(mutex_);
    events_.emplace_back(request, std::move(event));
    arrived_.notify_one();
  }
  std::pair<int, TokenEvent> pop() {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [&] { return !events_.empty(); });
    auto event = std::move(events_.front());
    events_.pop_front();
    return event;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<std::pair<int, TokenEvent>> events_;
};

EngineRequest request_of(int idx, int generate, const Tokenizer& tokenizer) {
  EngineRequest request;
  request.prompt = tokenizer.encode(
      fmt::format("Chapter {}. The alchemist lit the fire under the retort, and while it grew hot he began to tell",
                  idx),
      {});
  request.params.temperature = 0.6F;
  request.params.top_p = 0.95F;
  request.params.seed = idx;
  request.params.max_tokens = generate;
  request.params.ignore_eos = true;
  return request;
}

StepTimes operator-(const StepTimes& a, const StepTimes& b) {
  return {a.schedule - b.schedule, a.model - b.model, a.sample - b.sample, a.deliver - b.deliver};
}

}  // namespace

Result<Breakdown> measure_breakdown(Llm& llm, int batch, int generate) {
  const int most_blocks = llm.engine().stats().num_kv_blocks;
  int64_t num_blocks = 0;
  std::vector<EngineRequest> requests;
  for (int i = 0; i < batch && num_blocks <= most_blocks; ++i) {
    requests.push_back(request_of(i, generate, llm.tokenizer()));
    const auto num_tokens = std::ssize(requests.back().prompt) + generate;
    if (num_tokens > llm.max_model_len())
      return fail(ErrorKind::kBadInput,
                  "[bench] --generate and a prompt of {} tokens: expected at most the {} that a sequence may have, got "
                  "{}",
                  requests.back().prompt.size(), llm.max_model_len(), num_tokens);
    num_blocks += (num_tokens + kBlockTokens - 1) / kBlockTokens;
  }
  if (num_blocks > most_blocks)
    return fail(ErrorKind::kTooLarge,
                "[bench] --breakdown of {} sequences: expected keys and values in at most the {} blocks that there "
                "are, which {} of them take",
                batch, most_blocks, requests.size() - 1);
  Events events;
  std::vector<Detokenizer> texts(batch, Detokenizer(llm.tokenizer(), true));
  const EngineStats before = llm.engine().stats();
  const auto start = Clock::now();
  for (int i = 0; i < batch; ++i) {
    requests[i].on_event = [&events, i](TokenEvent event) { events.push(i, std::move(event)); };
    RETORT_CHECK(llm.engine().submit(std::move(requests[i])));
  }
  Breakdown breakdown{.batch = batch};
  size_t num_tokens = 0;
  for (int left = batch; left > 0;) {
    const auto [request, event] = events.pop();
    const auto began = Clock::now();
    for (const SampledToken& token : event.tokens) texts[request].push(token.id);
    num_tokens += event.tokens.size();
    if (event.finish) --left;
    breakdown.text_seconds += std::chrono::duration<double>(Clock::now() - began).count();
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  EngineStats after = llm.engine().stats();
  while (after.num_finished - before.num_finished <
         static_cast<uint64_t>(batch)) {  // the last step's books are open yet
    std::this_thread::yield();
    after = llm.engine().stats();
  }
  breakdown.num_steps = after.num_steps - before.num_steps;
  breakdown.times = after.times - before.times;
  breakdown.tokens_per_second = static_cast<double>(num_tokens) / seconds;
  return breakdown;
}

}  // namespace retort
