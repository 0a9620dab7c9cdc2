#include "server/consensus/ballot.h"

#include <algorithm>

namespace retort {

void Ballot::see(size_t sample_idx, std::span<const SampledToken> tokens) {
  for (const SampledToken& token : tokens) {
    if (!token.logprob) continue;
    samples_[sample_idx].sum += token.logprob->logprob;
    ++samples_[sample_idx].num_tokens;
  }
}

void Ballot::cast(size_t sample_idx, std::string_view text, bool is_whole) {
  const double mean_logprob = samples_[sample_idx].mean();
  ++num_cast_;
  std::optional<ExtractedAnswer> answer;
  if (is_whole || kind_ == AnswerKind::kBoxed) answer = extract_answer(kind_, text);
  Candidate* candidate = &unanswered_;
  if (answer) {
    const auto it = std::ranges::find_if(candidates_, [&](const Candidate& c) { return c.answer.key == answer->key; });
    candidate = it != candidates_.end() ? &*it : &candidates_.emplace_back();
  }
  const bool is_better = candidate->votes == 0 || mean_logprob > candidate->best_logprob ||
                         (mean_logprob == candidate->best_logprob && sample_idx < candidate->best_sample);
  ++candidate->votes;
  if (!is_better) return;
  candidate->best_sample = sample_idx;
  candidate->best_logprob = mean_logprob;
  if (answer) candidate->answer = std::move(*answer);
}

std::vector<const Ballot::Candidate*> Ballot::ranking() const {
  std::vector<const Candidate*> ranked;
  for (const Candidate& candidate : candidates_) ranked.push_back(&candidate);
  std::ranges::sort(ranked, [](const Candidate* a, const Candidate* b) {
    if (a->votes != b->votes) return a->votes > b->votes;
    if (a->best_logprob != b->best_logprob) return a->best_logprob > b->best_logprob;
    return a->best_sample < b->best_sample;
  });
  return ranked;
}

bool Ballot::is_decided() const {
  const size_t num_left = samples_.size() - num_cast_;
  if (num_left == 0) return true;
  const auto ranked = ranking();
  if (ranked.empty()) return false;
  const int second = ranked.size() > 1 ? ranked[1]->votes : 0;
  return ranked[0]->votes > second + static_cast<int>(num_left);
}

std::optional<size_t> Ballot::winner() const {
  if (num_cast_ == 0) return std::nullopt;
  const auto ranked = ranking();
  return ranked.empty() ? unanswered_.best_sample : ranked[0]->best_sample;
}

Json Ballot::json() const {
  const auto ranked = ranking();
  const int votes = ranked.empty() ? 0 : ranked[0]->votes;
  Json answers = Json::array();
  for (const Candidate* candidate : ranked)
    answers.push_back({{"answer", candidate->answer.text}, {"votes", candidate->votes}});
  return {{"share", num_cast_ == 0 ? 0.0 : static_cast<double>(votes) / static_cast<double>(num_cast_)},
          {"votes", votes},
          {"samples", num_cast_},
          {"no_answer", unanswered_.votes},
          {"cancelled", is_decided() ? samples_.size() - num_cast_ : 0},
          {"answers", std::move(answers)}};
}

}  // namespace retort
