// The answer of the chat and the completions API, as one body or as chunks. They differ in what a choice looks like;
// everything else is here. I/O thread.
#pragma once

#include <optional>
#include <string>

#include "server/consensus/ballot.h"
#include "server/openai/generate_request.h"
#include "server/reply.h"

namespace retort::openai {

struct AnswerHead {
  std::string id;  // "chatcmpl-…"
  std::string_view object, chunk_object;
  std::string model;
  int64_t created = 0;
};

class Answer : public Reply {
 public:
  Answer(const ServedModel& model, const GenerateRequest& request, AnswerHead head, const Job& job);

  ApiStatus take(const Generation::News& news) override;
  using Reply::is_finished;
  bool is_finished(size_t prompt_idx) const override;  // with consensus: also when the rest cannot change it

  Json whole() override;
  std::string chunks() override;
  std::string last_chunks() override;  // usage if asked, and [DONE]
  std::string error_chunks(const ApiError& error) const override;

 protected:
  // choices[] of one chunk or several, without index, which goes first: what `delta` says, and finish_reason null.
  virtual std::vector<Json> chunk_bodies(Choice& choice, const Delta& delta) = 0;
  // A chunk before the first one; null for none.
  virtual Json first_chunk_body() { return {}; }
  // A choice of the whole answer: text in its shape, logprobs.
  virtual Json whole_body(Choice& choice, const Delta& delta) = 0;

  size_t index_of(const Choice& choice) const { return static_cast<size_t>(&choice - choices().data()); }
  const GenerateRequest& request() const { return request_; }
  // prompt_logprobs and prompt_token_ids, if asked.
  void add_prompt_details(size_t prompt_idx, Json& json) const;

 private:
  Json chunk(Json choices) const;
  bool is_due(const Choice& choice) const;
  void append_chunks(size_t idx, std::string& events);
  Json whole_choice(size_t idx);
  void count_vote(size_t idx);

  const GenerateRequest& request_;
  AnswerHead head_;
  std::optional<Ballot> ballot_;  // with consensus; the one choice that is shown is its winner
  std::string vote_chunks_;       // not yet sent
};

// {"prompt_tokens", "completion_tokens", "total_tokens", "…_details"}
Json usage_json(const Usage& usage);

}  // namespace retort::openai
