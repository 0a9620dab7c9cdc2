#include "server/sample.h"

#include <algorithm>

namespace retort {

Sample::Sample(const Tokenizer& tokenizer, const SampleOptions& options)
    : options_(options),
      detokenizer_(tokenizer, options.skip_special_tokens),
      stop_matcher_(options.stop, options.include_stop),
      reasoning_parser_(options.starts_inside_reasoning) {}

void Sample::take(const TokenEvent& event) {
  for (const SampledToken& token : event.tokens) {
    if (is_finished() || options_.drops_output) break;
    take_token(token);
  }
  if (event.finish && !is_finished()) finish(*event.finish, event.stop_token);
}

void Sample::take_token(const SampledToken& token) {
  ++num_tokens_;
  ++delta_.num_tokens;
  if (options_.splits_reasoning && reasoning_parser_.inside()) ++num_reasoning_tokens_;
  if (options_.keeps_tokens) delta_.tokens.push_back(token);
  take_text(detokenizer_.push(token.id));
}

void Sample::take_text(std::string_view text) {
  show(stop_matcher_.push(text));
  if (!stop_matcher_.matched()) return;
  finish_reason_ = "stop";
  stop_reason_ = *stop_matcher_.matched();
  if (options_.splits_reasoning) add_piece(reasoning_parser_.finish());
}

void Sample::show(std::string_view text) {
  if (options_.splits_reasoning)
    add_piece(reasoning_parser_.push(text));
  else
    delta_.content += text;
}

void Sample::add_piece(const ReasoningPiece& piece) {
  delta_.reasoning += piece.reasoning;
  delta_.content += piece.content;
}

void Sample::finish(FinishReason reason, std::optional<TokenId> stop_token) {
  if (stop_token) {
    if (!options_.drops_output) ++num_tokens_;  // it was generated as well
    if (options_.keeps_tokens) delta_.tokens.push_back({.id = *stop_token, .logprob = {}, .top_logprobs = {}});
    const auto& asked = options_.stop_token_ids;
    if (std::find(asked.begin(), asked.end(), *stop_token) != asked.end()) stop_reason_ = *stop_token;
    if (options_.include_stop) take_text(detokenizer_.push(*stop_token));
  }
  take_text(detokenizer_.finish());
  if (is_finished()) return;  // the last bytes completed a stop string
  show(stop_matcher_.finish());
  if (options_.splits_reasoning) add_piece(reasoning_parser_.finish());
  finish_reason_ = reason == FinishReason::kStop ? "stop" : reason == FinishReason::kLength ? "length" : "abort";
}

}  // namespace retort
