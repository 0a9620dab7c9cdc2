// The answer to one API call, built from the events of its samples: as one body or as chunks. Chat and completions
// differ in what a choice looks like; everything else is here. I/O thread.
#pragma once

#include <string>
#include <vector>

#include "server/api_context.h"
#include "server/generation.h"
#include "server/openai/generate_request.h"
#include "server/openai/sample.h"
#include "server/served_model.h"

namespace retort::openai {

struct AnswerHead {
  std::string id;  // "chatcmpl-…"
  std::string_view object, chunk_object;
  std::string model;
  int64_t created = 0;
};

// What was asked, tokenised: made by a text worker.
struct Job {
  std::vector<EngineRequest> requests;        // one a prompt
  std::vector<SampleOptions> sample_options;  // one a prompt
  std::vector<std::string> echoes;            // one a prompt: what the text begins with; empty strings for nothing
};

class Answer {
 public:
  Answer(const ServedModel& model, const GenerateRequest& request, AnswerHead head, const Job& job);
  virtual ~Answer() = default;

  // The engine's own failure, if the event tells of one.
  ApiStatus take(const Generation::News& news);
  bool is_finished() const;
  bool is_finished(size_t prompt_idx) const;
  std::string chunks();       // server-sent events for what is new; may be empty
  std::string last_chunks();  // usage if asked, and [DONE]
  virtual Json whole();
  std::string note() const;  // "35 prompt tokens (32 cached), 120 generated", for the log

 protected:
  struct Choice {
    Sample sample;
    size_t prompt_idx;
    bool has_begun = false, has_ended = false;  // of the stream: its first and last chunk are sent
  };

  // choices[] of a chunk, without index, which goes first: the text of `delta`, and finish_reason null.
  virtual Json chunk_body(Choice& choice, const Delta& delta) = 0;
  // A chunk before the first one; null for none.
  virtual Json first_chunk_body() { return {}; }
  // A choice of the whole answer: text in its shape, logprobs.
  virtual Json whole_body(Choice& choice, const Delta& delta) = 0;

  size_t index_of(const Choice& choice) const { return static_cast<size_t>(&choice - choices_.data()); }
  const Tokenizer& tokenizer() const { return *model_.tokenizer; }
  const GenerateRequest& request() const { return request_; }
  // prompt_logprobs and prompt_token_ids, if asked.
  void add_prompt_details(size_t prompt_idx, Json& json) const;
  const std::vector<TokenId>& prompt_tokens(size_t prompt_idx) const { return prompts_[prompt_idx].tokens; }
  const std::vector<std::vector<TokenLogprob>>& prompt_logprobs(size_t prompt_idx) const {
    return prompts_[prompt_idx].logprobs;
  }

 private:
  struct Prompt {
    std::vector<TokenId> tokens;
    std::vector<std::vector<TokenLogprob>> logprobs;
    int num_cached_tokens = 0;
  };

  Json chunk(Json choices) const;
  bool is_due(const Choice& choice) const;
  void append_chunks(size_t idx, std::string& events);
  Json usage() const;

  const ServedModel& model_;
  const GenerateRequest& request_;
  AnswerHead head_;
  std::vector<Prompt> prompts_;
  std::vector<Choice> choices_;  // [num_prompts * n]
};

// Submits, streams or gathers, and answers every way it can end.
boost::asio::awaitable<void> run_job(const ApiContext& api, http::Exchange& exchange, const GenerateRequest& request,
                                     Job job, Answer& answer);

}  // namespace retort::openai
