// The engine without its thread and its locks: requests in, one step at a time, events out. Engine thread only.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/constraint_workers.h"
#include "engine/engine.h"
#include "engine/model_runner.h"
#include "engine/ngram.h"
#include "engine/repetition.h"
#include "engine/request.h"
#include "engine/sampler.h"
#include "engine/scheduler.h"

namespace retort {

class EngineCore {
 public:
  // `config` as Engine::config() gives it: every limit filled in. `runner` must outlive the object.
  // on_constraint: called on another thread when a constraint has said what comes next; a step may be possible then.
  // now: what steps are timed by, and so what the cost model learns.
  EngineCore(const EngineConfig& config, ModelRunner& runner, std::function<void()> on_constraint,
             std::function<Clock::time_point()> now = Clock::now);

  void add(RequestId id, EngineRequest request);
  // The request's samples end with `reason`, its blocks come back. Unknown ids are ignored.
  void end(RequestId id, FinishReason reason, std::string_view why = {}, ErrorKind kind = ErrorKind::kInternal);
  // The same of one sample that has had a token; else it is ignored.
  void end_sample(RequestId id, int sample_idx, FinishReason reason);
  void end_all(FinishReason reason, std::string_view why);
  // Tells every request that it ends with kError, and does nothing else: for when the state can no longer be trusted.
  void abandon(std::string_view why);
  // Ends the requests whose deadline has passed.
  void expire(Clock::time_point now);
  void reset_prefix_cache() { scheduler_.reset_prefix_cache(); }
  // A step in its two halves: what to compute; then run, sample, tell. An exception of the runner ends the step's
  // requests with kError. No add() or end() in between. plan_step() false: every sequence waits for its constraint.
  bool plan_step();
  void run_step();

  bool has_work() const { return scheduler_.has_work(); }
  // The requests of which a sequence runs, each once.
  std::vector<RequestId> running() const { return scheduler_.running_requests(); }
  // Fills in all but what concerns the thread and who waits.
  void report(EngineStats& stats) const;
  Status check_integrity() const { return scheduler_.check_integrity(); }
  const BlockPool& blocks() const { return scheduler_.blocks(); }

 private:
  struct Sample {
    Sequence* sequence = nullptr;  // null before it parts from the first, and once it has finished
    TokenCounts counts;
    NgramSpeculator speculator;
    RepetitionDetector repetition{RepetitionRule{}};
    std::optional<FollowedConstraint> constraint;
    bool finished = false;
  };
  struct Live {
    SamplingParams params;
    std::function<void(TokenEvent)> on_event;
    std::optional<Clock::time_point> deadline;
    Clock::time_point scheduled{};
    std::vector<TokenId> stop_tokens;
    uint64_t seed = 0;
    std::vector<Sample> samples;
    int num_cached_tokens = 0;
    bool has_failed = false;  // a sample has, and the log says so
    std::vector<std::vector<TokenLogprob>> prompt_logprobs;
    std::optional<Pooling> pooling;
    std::vector<float> embedding;  // with pooling: so far
  };
  using LiveIterator = std::unordered_map<RequestId, Live>::iterator;

  std::span<const float> run(const Step& step);
  void fail_step(const Step& step, std::string_view why);
  void pool(const ScheduledSequence& scheduled, std::span<const float> hidden);
  void score_prompt(const ScheduledSequence& scheduled, std::span<const float> logits);
  void propose(const Live& live, Sample& sample) const;
  bool is_repetition(const Live& live, Sample& sample) const;
  void settle_constraints();
  bool settle(Live& live, Sample& sample);
  void hold_unready(const Step& step);
  void end_failed();
  void sample_all(const ScheduledSequence& scheduled, std::span<const float> logits);
  Status sample_run(Live& live, Sample& sample, std::span<const float> logits, int num_drafts);
  Status finish_prompt(Live& live, Sequence& first);
  Status sample_one(Live& live, Sample& sample, std::span<const float> logits);
  void mark_scheduled(Clock::time_point now);
  static bool has_parted(const Sample& sample);
  void end_sample(Live& live, size_t sample_idx, FinishReason reason, std::string_view why, ErrorKind kind);
  void finish_sample(Sample& sample, TokenEvent& event);
  void follow(Live& live, Sample& sample, SampledToken token);
  void give_forced(Live& live, Sample& sample, std::span<const TokenId> ids);
  void give_token(Live& live, Sample& sample, std::optional<SampledToken> token);
  void forget_if_finished(LiveIterator it);
  void tell(const Live& live, TokenEvent event) noexcept;
  double seconds_since(Clock::time_point start) const { return std::chrono::duration<double>(now_() - start).count(); }

  EngineConfig config_;
  ModelRunner& runner_;
  std::function<Clock::time_point()> now_;
  int32_t vocab_size_;
  Scheduler scheduler_;
  Sampler sampler_;
  std::unordered_map<RequestId, Live> live_;
  std::set<std::pair<Clock::time_point, RequestId>> deadlines_;
  const Step* step_ = nullptr;
  std::vector<ForwardSequence> batch_;
  std::map<std::pair<RequestId, int>, Error> failed_;  // samples, in the step that runs
  EngineStats counters_;
  ConstraintWorkers constraint_workers_;  // last: ends first
};

}  // namespace retort
