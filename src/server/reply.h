// One call's answer as it grows, whichever API was asked: its samples, what they cost, and every way it can end. An
// API's own class says what the bytes look like. I/O thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "server/api_context.h"
#include "server/generation.h"
#include "server/sample.h"
#include "server/served_model.h"
#include "server/sse.h"

namespace retort {

// What was asked, tokenised: made by a text worker.
struct Job {
  std::vector<EngineRequest> requests = {};        // one a prompt
  std::vector<SampleOptions> sample_options = {};  // one a prompt
  std::vector<std::string> echoes = {};            // one a prompt: what the text begins with; empty strings for nothing
};

struct Usage {
  int64_t prompt_tokens = 0, cached_tokens = 0;
  int64_t completion_tokens = 0, reasoning_tokens = 0;
};

class Reply {
 public:
  Reply(const ServedModel& model, const Job& job);
  virtual ~Reply() = default;

  // Less than was asked for is given: these requests instead of the job's.
  virtual void degrade(const std::vector<EngineRequest>& /*instead*/) {}
  // The engine has taken it. `cancel` ends it early, until it has ended.
  virtual void begin(const std::function<void()>& /*cancel*/) {}
  // The engine's own failure, if the event tells of one.
  virtual ApiStatus take(const Generation::News& news);
  bool is_finished() const;
  // Nothing more of this prompt is of use; the engine ends what still runs of it.
  virtual bool is_finished(size_t prompt_idx) const;
  bool is_finished(size_t prompt_idx, int sample_idx) const;
  std::string note() const;  // "35 prompt tokens (32 cached), 120 generated", for the log

  virtual Json whole() = 0;
  virtual Json error(const ApiError& error) const { return error_json(error); }

  // No more will come: chunks() holds nothing back to send it with what follows.
  void cut_off() { is_cut_off_ = true; }
  // A stream: its content type, what is new since the last call (may be empty), what ends it well (what is new before
  // it), what ends it badly. An API that answers in one piece only leaves them as they are.
  virtual std::string_view stream_type() const { return kEventStream; }
  virtual std::string chunks() { return {}; }
  virtual std::string last_chunks() { return {}; }
  virtual std::string error_chunks(const ApiError&) const { return {}; }

 protected:
  struct Prompt {
    std::vector<TokenId> tokens;
    std::vector<std::vector<TokenLogprob>> logprobs;
    int num_cached_tokens = 0;
    size_t first_choice, num_choices;
  };
  struct Choice {
    Sample sample;
    size_t prompt_idx;
    bool has_begun = false, has_ended = false;  // of the stream: its first and last chunk are sent
  };

  const ServedModel& model() const { return model_; }
  const Tokenizer& tokenizer() const { return *model_.tokenizer; }
  const std::vector<Prompt>& prompts() const { return prompts_; }
  std::vector<Choice>& choices() { return choices_; }
  const std::vector<Choice>& choices() const { return choices_; }
  Usage usage() const;
  bool is_cut_off() const { return is_cut_off_; }

 private:
  const ServedModel& model_;
  std::vector<Prompt> prompts_;
  std::vector<Choice> choices_;  // those of prompt 0, then those of prompt 1, …
  bool is_cut_off_ = false;
};

// Submits, streams or gathers, and answers every way it can end.
boost::asio::awaitable<void> run_job(ApiContext& api, http::Exchange& exchange, bool stream, Job job, Reply& reply);

}  // namespace retort
