#include "server/sample.h"

#include <algorithm>

namespace retort {
namespace {

const char* name_of(FinishReason reason) {
  if (reason == FinishReason::kStop || reason == FinishReason::kRepetition) return "stop";
  return reason == FinishReason::kLength ? "length" : "abort";
}

}  // namespace

std::vector<ToolPiece> Delta::pieces() const {
  std::vector<ToolPiece> pieces;
  size_t at = 0;
  const auto add_content = [&](size_t end) {
    if (end > at) pieces.emplace_back(content.substr(at, end - at));
    at = end;
  };
  for (const Call& call : calls) {
    add_content(call.content_before);
    pieces.emplace_back(call.part);
  }
  add_content(content.size());
  return pieces;
}

bool Delta::is_due(int interval) const {
  if (is_empty()) return false;
  return num_tokens >= interval ||
         std::ranges::any_of(calls, [](const Call& call) { return !call.part.name.empty() || call.part.is_last; });
}

Sample::Sample(const Tokenizer& tokenizer, const SampleOptions& options)
    : options_(options),
      detokenizer_(tokenizer, options.skip_special_tokens),
      stop_matcher_(options.stop, options.include_stop),
      reasoning_parser_(options.starts_inside_reasoning) {
  if (options.tools)
    tool_parser_.emplace(options.tools->format, options.tools->names, options.tools->binding, options.tools->must_call);
}

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
  show(stop_matcher_.push(text, num_tokens_ > options_.min_tokens));
  if (!stop_matcher_.matched() || is_finished()) return;
  stop_reason_ = *stop_matcher_.matched();
  end("stop");
}

void Sample::show(std::string_view text) {
  if (options_.splits_reasoning)
    add_piece(reasoning_parser_.push(text));
  else
    say(text);
}

void Sample::add_piece(const ReasoningPiece& piece) {
  delta_.reasoning += piece.reasoning;
  say(piece.content);
}

void Sample::say(std::string_view content) {
  if (is_finished()) return;
  if (tool_parser_)
    add_pieces(tool_parser_->push(content));
  else
    delta_.content += content;
}

void Sample::add_pieces(std::vector<ToolPiece> pieces) {
  for (ToolPiece& piece : pieces) {
    if (auto* content = std::get_if<std::string>(&piece)) {
      delta_.content += *content;
      continue;
    }
    const bool is_whole = std::get<ToolCallPart>(piece).is_last;
    add_part(std::get<ToolCallPart>(std::move(piece)));
    if (!is_whole) continue;
    ++num_calls_;
    if (!options_.tools->is_one_call_enough) continue;
    finish_reason_ = "tool_calls";
    return;
  }
}

// A call that goes on makes one part with what is new of it already.
void Sample::add_part(ToolCallPart part) {
  if (!part.name.empty() || delta_.calls.empty()) {
    delta_.calls.push_back({std::move(part), delta_.content.size()});
    return;
  }
  ToolCallPart& begun = delta_.calls.back().part;
  begun.arguments += part.arguments;
  begun.is_last = part.is_last;
}

void Sample::end(std::string reason) {
  if (options_.splits_reasoning) add_piece(reasoning_parser_.finish());
  if (tool_parser_ && !is_finished()) add_pieces(tool_parser_->finish());
  if (!is_finished()) finish_reason_ = reason == "stop" && num_calls_ > 0 ? "tool_calls" : std::move(reason);
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
  if (is_finished()) return;
  is_repetition_ = reason == FinishReason::kRepetition;
  if (is_repetition_) stop_reason_ = "repetition";
  end(name_of(reason));
}

}  // namespace retort
