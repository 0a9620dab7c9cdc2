#include "engine/engine.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "base/log.h"
#include "base/thread_name.h"
#include "engine/engine_core.h"

namespace retort {
namespace {

EngineConfig with_limits(EngineConfig config, const ModelRunner& runner) {
  RETORT_CHECK(config.max_num_seqs > 0 && config.max_waiting >= 0);
  const int64_t capacity = int64_t{runner.num_blocks()} * kBlockTokens;
  config.max_model_len = config.max_model_len > 0 ? std::min(config.max_model_len, capacity) : capacity;
  if (config.max_num_batched_tokens < config.max_num_seqs) {
    log::warn("[engine] max_num_batched_tokens {}: raised to {}, so that each of max_num_seqs has a place in a step",
              config.max_num_batched_tokens, config.max_num_seqs);
    config.max_num_batched_tokens = config.max_num_seqs;
  }
  return config;
}

}  // namespace

struct Engine::Impl {
  struct Cancel {
    RequestId id;
    std::optional<int> sample_idx;  // none: all
  };

  Impl(EngineConfig given, ModelRunner& runner)
      : config(with_limits(std::move(given), runner)), vocab_size(runner.vocab_size()), core(config, runner, [this] {
          const std::lock_guard lock(mutex);
          constraint_is_ready = true;
          wake.notify_one();
        }) {
    stats.num_kv_blocks = runner.num_blocks();
  }

  void run();
  bool turn();
  void wait_for_constraint();
  void die(std::string_view why);
  void publish(Clock::time_point step_started);
  int num_waiting() const;
  void count(RequestId id, EngineRequest& request);
  void discount(RequestId id);
  Status check(const EngineRequest& request) const;

  const EngineConfig config;
  const int32_t vocab_size;
  std::mutex mutex;  // guards what follows; never held while the engine works
  std::condition_variable wake;
  std::vector<std::pair<RequestId, EngineRequest>> arrivals;
  std::vector<Cancel> cancels;
  std::unordered_map<RequestId, int> unfinished;  // sequences of those neither finished nor cancelled
  int num_unfinished = 0;                         // sum of these
  RequestId next_id = 1;
  bool resets_prefix_cache = false;
  bool stopping = false;
  Clock::time_point stop_at;
  EngineStats stats;                 // as of the last step's plan or end
  std::vector<RequestId> running;    // as of then; some may have ended since
  bool constraint_is_ready = false;  // since the last turn began

  EngineCore core;  // engine thread only

  std::mutex join_mutex;
  std::thread thread;  // last: it uses all of the above
};

std::string full_queue_message(const EngineConfig& config, int num_unfinished) {
  return fmt::format("the queue is full: {} sequences run or wait, --max-num-seqs is {} and --max-waiting {}",
                     num_unfinished, config.max_num_seqs, config.max_waiting);
}

Engine::Engine(EngineConfig config, ModelRunner& runner) : impl_(std::make_unique<Impl>(std::move(config), runner)) {
  impl_->thread = std::thread([impl = impl_.get()] {
    name_this_thread("engine");
    impl->run();
  });
}

Engine::~Engine() { stop(std::chrono::milliseconds(0)); }

const EngineConfig& Engine::config() const { return impl_->config; }

Status Engine::Impl::check(const EngineRequest& request) const {
  RETORT_CHECK(request.on_event);
  RETORT_TRY(check_params(request.params, vocab_size));
  if (request.prompt.empty())
    return fail(ErrorKind::kBadInput, "[engine] prompt: expected at least one token, got none");
  for (TokenId id : request.prompt)
    if (id < 0 || id >= vocab_size)
      return fail(ErrorKind::kBadInput, "[engine] prompt: expected token ids 0 to {}, got {}", vocab_size - 1, id);
  const int64_t longest = config.max_model_len - (request.params.max_tokens > 0 ? 1 : 0);
  if (const int64_t length = std::ssize(request.prompt); length > longest)
    return fail(ErrorKind::kBadInput,
                "[engine] prompt: expected at most {} tokens (the context holds {}), got {}, {} too many", longest,
                config.max_model_len, length, length - longest);
  if (request.pooling && (request.params.max_tokens != 0 || request.num_samples != 1))
    return fail(ErrorKind::kBadInput, "[engine] pooling: expected max_tokens 0 and one sample, got {} and {}",
                request.params.max_tokens, request.num_samples);
  if (request.num_samples < 1 || request.num_samples > config.max_num_seqs)
    return fail(ErrorKind::kBadInput, "[engine] num_samples: expected 1 to {}, got {}", config.max_num_seqs,
                request.num_samples);
  return {};
}

Result<RequestId> Engine::submit(EngineRequest request) {
  RETORT_TRY(impl_->check(request));
  const std::lock_guard lock(impl_->mutex);
  if (!impl_->stats.alive) return fail(ErrorKind::kUnavailable, "[engine] has failed and serves no more requests");
  if (impl_->stopping) return fail(ErrorKind::kUnavailable, "[engine] is stopping");
  if (impl_->num_unfinished + request.num_samples > most_sequences())
    return fail(ErrorKind::kUnavailable, "{}", full_queue_message(impl_->config, impl_->num_unfinished));
  const RequestId id = impl_->next_id++;
  impl_->count(id, request);
  impl_->arrivals.emplace_back(id, std::move(request));
  impl_->wake.notify_one();
  return id;
}

// Before the last event: whoever asks again when answered finds the place free.
void Engine::Impl::count(RequestId id, EngineRequest& request) {
  unfinished.emplace(id, request.num_samples);
  num_unfinished += request.num_samples;
  request.on_event = [this, id, left = request.num_samples,
                      on_event = std::move(request.on_event)](TokenEvent event) mutable {
    if (event.finish && --left == 0) {
      const std::lock_guard lock(mutex);
      discount(id);
    }
    on_event(std::move(event));
  };
}

void Engine::Impl::discount(RequestId id) {
  const auto found = unfinished.find(id);
  if (found == unfinished.end()) return;  // cancelled
  num_unfinished -= found->second;
  unfinished.erase(found);
}

void Engine::cancel(RequestId id) {
  const std::lock_guard lock(impl_->mutex);
  impl_->discount(id);
  impl_->cancels.push_back({id, {}});
  impl_->wake.notify_one();
}

void Engine::cancel(RequestId id, int sample_idx) {
  const std::lock_guard lock(impl_->mutex);
  impl_->cancels.push_back({id, sample_idx});
  impl_->wake.notify_one();
}

void Engine::reset_prefix_cache() {
  const std::lock_guard lock(impl_->mutex);
  impl_->resets_prefix_cache = true;
  impl_->wake.notify_one();
}

void Engine::stop(std::chrono::milliseconds grace) {
  {
    const std::lock_guard lock(impl_->mutex);
    const auto at = Clock::now() + grace;
    impl_->stop_at = impl_->stopping ? std::min(impl_->stop_at, at) : at;
    impl_->stopping = true;
    impl_->wake.notify_one();
  }
  const std::lock_guard lock(impl_->join_mutex);
  if (impl_->thread.joinable()) impl_->thread.join();
}

EngineStats Engine::stats() const {
  const std::lock_guard lock(impl_->mutex);
  EngineStats stats = impl_->stats;
  stats.num_waiting = impl_->num_waiting();
  stats.num_unfinished = impl_->num_unfinished;
  return stats;
}

int64_t Engine::most_sequences() const { return int64_t{impl_->config.max_num_seqs} + impl_->config.max_waiting; }

// Counted anew: a step may take long, and requests come and are cancelled meanwhile.
int Engine::Impl::num_waiting() const {
  const auto is_unfinished = [&](RequestId id) { return unfinished.contains(id); };
  return static_cast<int>(std::ssize(unfinished) - std::ranges::count_if(running, is_unfinished));
}

void Engine::Impl::run() {
  try {
    while (turn()) {
    }
    const auto status = core.check_integrity();
    if (!status) log::error("{}", status.error().message);
    RETORT_CHECK(status.has_value());
  } catch (const std::exception& e) {
    die(e.what());
  } catch (...) {
    die("an exception of unknown type");
  }
}

// One round of the loop; sleeps when there is nothing to do. False: stopped, and nothing is left.
bool Engine::Impl::turn() {
  std::vector<std::pair<RequestId, EngineRequest>> arrived;
  std::vector<Cancel> cancelled;
  bool last_turns, resets;
  Clock::time_point deadline;
  {
    std::unique_lock lock(mutex);
    wake.wait(lock, [&] {
      return stopping || !arrivals.empty() || !cancels.empty() || resets_prefix_cache || core.has_work();
    });
    arrived.swap(arrivals);
    cancelled.swap(cancels);
    resets = std::exchange(resets_prefix_cache, false);
    constraint_is_ready = false;
    last_turns = stopping;
    deadline = stop_at;
  }
  if (resets) core.reset_prefix_cache();
  for (auto& [id, request] : arrived) core.add(id, std::move(request));
  for (const Cancel& cancel : cancelled) {
    if (cancel.sample_idx)
      core.end_sample(cancel.id, *cancel.sample_idx, FinishReason::kAbort);
    else
      core.end(cancel.id, FinishReason::kAbort);
  }
  const auto now = Clock::now();
  core.expire(now);
  if (last_turns && now >= deadline) core.end_all(FinishReason::kAbort, "[engine] is stopping");
  if (core.has_work()) {
    if (core.plan_step()) {
      publish(now);
      core.run_step();
    } else if (core.has_work()) {
      wait_for_constraint();
    }
  }
  publish({});
  return !last_turns || core.has_work();
}

// Nothing can run before one is ready; deadlines are looked at now and then.
void Engine::Impl::wait_for_constraint() {
  std::unique_lock lock(mutex);
  wake.wait_for(lock, std::chrono::milliseconds(10),
                [this] { return constraint_is_ready || !arrivals.empty() || !cancels.empty(); });
}

void Engine::Impl::publish(Clock::time_point step_started) {
  const std::lock_guard lock(mutex);
  core.report(stats);
  running = core.running();
  stats.step_started = step_started;
}

// An exception that is not the runner's: nothing here can be trusted any more, but whoever waits for an answer is told.
void Engine::Impl::die(std::string_view why) {
  log::error("[engine] the engine thread ends: {}", why);
  std::vector<std::pair<RequestId, EngineRequest>> arrived;
  {
    const std::lock_guard lock(mutex);
    stats.alive = false;
    stats.step_started = {};
    arrived.swap(arrivals);
  }
  core.abandon(why);
  for (auto& [id, request] : arrived)
    for (int i = 0; i < request.num_samples; ++i)
      request.on_event({.sample_idx = i, .finish = FinishReason::kError, .error = std::string(why)});
}

}  // namespace retort
