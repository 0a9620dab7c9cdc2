// Self-consistency (Wang et al. 2022): of several samples of one prompt the answer that most agree on. Counts their
// votes as they end. I/O thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/request.h"
#include "server/api_error.h"
#include "server/consensus/answer_key.h"

namespace retort {

class Ballot {
 public:
  Ballot(int num_samples, AnswerKind kind) : kind_(kind), samples_(static_cast<size_t>(num_samples)) {}

  // More tokens of a sample that still runs, with their log-probabilities (those that were sampled have one).
  void see(size_t sample_idx, std::span<const SampledToken> tokens);
  // It has ended with this text. One that was cut off (is_whole false) may hold a boxed answer; of the other kinds it
  // has none.
  void cast(size_t sample_idx, std::string_view text, bool is_whole);

  // No sample that still runs can change which answer has most votes.
  bool is_decided() const;
  // The most likely sample (by the mean log-probability of its tokens) of those that gave the winning answer; while
  // nobody has given one, of all that have ended. Of answers with equal votes that one wins which has the most likely
  // sample; of equally likely samples the first.
  std::optional<size_t> winner() const;
  // {"share", "votes", "samples", "no_answer", "cancelled", "answers": [{"answer", "votes"}, …]}, most votes first.
  Json json() const;

 private:
  struct Likelihood {
    double sum = 0;
    int num_tokens = 0;
    double mean() const { return num_tokens == 0 ? 0 : sum / num_tokens; }
  };
  struct Candidate {
    ExtractedAnswer answer;  // as the most likely sample wrote it
    int votes = 0;
    size_t best_sample = 0;
    double best_logprob = 0;
  };
  std::vector<const Candidate*> ranking() const;

  AnswerKind kind_;
  std::vector<Likelihood> samples_;
  size_t num_cast_ = 0;
  std::vector<Candidate> candidates_;
  Candidate unanswered_;  // the samples without an answer
};

}  // namespace retort
