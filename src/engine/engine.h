// The step loop: one thread that schedules, runs the model, samples and hands out tokens. Everything public may be
// called from any thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <numeric>
#include <string>

#include "base/result.h"
#include "engine/distribution.h"
#include "engine/model_runner.h"
#include "engine/ngram.h"
#include "engine/request.h"

namespace retort {

struct EngineConfig {
  int64_t max_model_len = 0;         // tokens of prompt and answer together; 0, and at most: what all blocks hold
  int max_num_seqs = 64;             // decoding at once
  int max_num_batched_tokens = 512;  // in one step
  double max_step_ms = 200;  // the next token of a running answer waits no longer for others' prompts; 0: no limit
  int max_waiting = 1024;    // sequences beyond max_num_seqs that may wait before submit() says kUnavailable
  bool enable_prefix_caching = true;
  SpeculativeConfig speculative = {};  // ngram.h
  int repetition_guard = 2048;  // an answer ends that repeats itself over so many tokens, repetition.h; 0: none does
  uint64_t seed = 0;            // for requests that bring none
  std::vector<TokenId> stop_tokens = {};  // the model's own, unless a request ignores them
};

// Where the engine thread's time has gone, in seconds since the start.
struct StepTimes {
  double schedule = 0;  // what to compute, and guesses
  double model = 0;
  double sample = 0;   // and the books of blocks and requests
  double deliver = 0;  // in on_event
  double total() const { return schedule + model + sample + deliver; }
};

// Classes for what steps hold and take: vLLM's for tokens; for seconds those around --max-step-ms.
inline constexpr std::array kStepTokenBounds = {1.0,   8.0,    16.0,   32.0,   64.0,   128.0,  256.0,
                                                512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0};
inline constexpr std::array kStepSecondBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15,
                                                 0.2,   0.25,   0.3,   0.5,  1.0,   2.5,  5.0, 10.0};

struct EngineStats {
  int num_running = 0;     // sequences
  int num_waiting = 0;     // requests that are neither finished nor cancelled, and of which no sequence runs
  int num_unfinished = 0;  // sequences of all requests; a request is out of it before its last event
  int num_kv_blocks = 0;
  double kv_usage = 0;  // 0 … 1
  uint64_t prompt_tokens = 0, cached_prompt_tokens = 0, generated_tokens = 0;
  uint64_t drafts = 0;                                // steps of a sequence in which tokens were guessed
  uint64_t draft_tokens = 0;                          // guessed and computed
  std::array<uint64_t, kMaxDrafts> accepted_at = {};  // of these right: a step's first guess, its second, …
  uint64_t num_steps = 0, num_preemptions = 0, num_finished = 0;
  StepTimes times = {};
  Distribution<kStepTokenBounds> step_tokens = {};    // computed in a step, guesses included
  Distribution<kStepSecondBounds> step_seconds = {};  // from a step's plan to its last event
  Clock::time_point step_started{};                   // of the step that runs now; epoch when idle
  bool alive = true;  // false once the engine thread has ended for any reason but stop()

  uint64_t accepted_draft_tokens() const {
    return std::accumulate(accepted_at.begin(), accepted_at.end(), uint64_t{0});
  }
};

// What submit() says when `num_unfinished` sequences leave no room for another.
std::string full_queue_message(const EngineConfig& config, int num_unfinished);

class Engine {
 public:
  // `runner` is used by the engine thread only (here for its sizes) and must outlive the engine.
  Engine(EngineConfig config, ModelRunner& runner);
  ~Engine();  // stop(0 s)

  // Errors: kBadInput (empty prompt, token or parameter out of range, does not fit max_model_len: says by how much),
  // kUnavailable (queue full, stopping). The first event may come before submit() has returned.
  Result<RequestId> submit(EngineRequest request);
  // Ends a request before the next step; its last event has kAbort. Unknown and finished ids are ignored.
  void cancel(RequestId id);
  // The same of one sample that has had a token; the others go on. Ignored where it has had none.
  void cancel(RequestId id, int sample_idx);
  // Before the next step: what has been computed so far helps no later prompt.
  void reset_prefix_cache();
  // Refuses new requests, lets those there are finish within `grace`, aborts the rest, joins the thread. Not from
  // on_event.
  void stop(std::chrono::milliseconds grace);

  EngineStats stats() const;
  // Sequences that submit() takes at most, those it has taken and that are not finished among them.
  int64_t most_sequences() const;
  const EngineConfig& config() const;  // as given, with the limits that hold filled in

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace retort
