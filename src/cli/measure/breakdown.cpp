#include "cli/measure/breakdown.h"

#include <fmt/format.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

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

Breakdown measure_breakdown(Llm& llm, int batch, int generate) {
  Events events;
  std::vector<Detokenizer> texts(batch, Detokenizer(llm.tokenizer(), true));
  const EngineStats before = llm.engine().stats();
  const auto start = Clock::now();
  for (int i = 0; i < batch; ++i) {
    auto request = request_of(i, generate, llm.tokenizer());
    request.on_event = [&events, i](TokenEvent event) { events.push(i, std::move(event)); };
    RETORT_CHECK(llm.engine().submit(std::move(request)));
  }
  Breakdown breakdown{.batch = batch};
  for (int left = batch; left > 0;) {
    const auto [request, event] = events.pop();
    const auto began = Clock::now();
    for (const SampledToken& token : event.tokens) texts[request].push(token.id);
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
  breakdown.tokens_per_second = batch * generate / seconds;
  return breakdown;
}

}  // namespace retort
