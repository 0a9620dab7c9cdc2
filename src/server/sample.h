// One answer as it grows: tokens → text → stop strings → reasoning and content. I/O thread.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/request.h"
#include "text/chat_template.h"
#include "text/detokenizer.h"
#include "text/reasoning_parser.h"
#include "text/stop_matcher.h"
#include "text/tools/tool_parser.h"

namespace retort {

// The tools that an answer may call.
struct OfferedTools {
  ToolFormat format;
  std::shared_ptr<const std::vector<std::string>> names;
  bool is_one_call_enough = false;  // the answer ends with its first
  CallBinding binding = CallBinding::kNone;
  bool must_call = false;
};

struct SampleOptions {
  std::vector<std::string> stop = {};
  std::vector<TokenId> stop_token_ids = {};  // the request's own: these are named as the reason, the model's are not
  int min_tokens = 0;                        // stop strings that end in so many are passed over, as in vLLM
  bool include_stop = false;                 // the stop string or token stays in the text
  bool skip_special_tokens = true;
  bool splits_reasoning = false;
  bool starts_inside_reasoning = false;
  bool keeps_tokens = false;  // for logprobs and token ids
  std::optional<OfferedTools> tools = {};
  bool drops_output = false;  // only the prompt was asked for, and the engine generates at least one token
};

// What came since the last delta.
struct Delta {
  std::string reasoning, content;
  struct Call {
    ToolCallPart part;
    size_t content_before;  // how much of the content stands before it
  };
  std::vector<Call> calls;
  std::vector<SampledToken> tokens;  // if kept; a stop token comes last, without logprobs
  int num_tokens = 0;

  bool is_empty() const { return content.empty() && reasoning.empty() && calls.empty() && tokens.empty(); }
  std::vector<ToolPiece> pieces() const;  // content and calls in their order
  // Whether it is enough to be sent: with `interval` tokens, or where a call begins or ends.
  bool is_due(int interval) const;
};

class Sample {
 public:
  Sample(const Tokenizer& tokenizer, const SampleOptions& options);

  void take(const TokenEvent& event);  // what comes after the end is dropped
  Delta take_delta() { return std::exchange(delta_, {}); }
  const Delta& delta() const { return delta_; }
  void prepend(std::string_view text) { delta_.content.insert(0, text); }

  bool is_finished() const { return !finish_reason_.empty(); }
  const std::string& finish_reason() const { return finish_reason_; }  // "stop", "length", "tool_calls", "abort"
  // The stop string or token id; "repetition"; null for the model's own.
  const Json& stop_reason() const { return stop_reason_; }
  bool is_repetition() const { return is_repetition_; }  // it ended because it went round in a circle
  int num_tokens() const { return num_tokens_; }
  int num_reasoning_tokens() const { return num_reasoning_tokens_; }

 private:
  void take_token(const SampledToken& token);
  void take_text(std::string_view text);  // past the detokeniser
  void add_piece(const ReasoningPiece& piece);
  void show(std::string_view text);    // past the stop strings
  void say(std::string_view content);  // past the reasoning parser
  void add_pieces(std::vector<ToolPiece> pieces);
  void add_part(ToolCallPart part);
  void end(std::string reason);  // nothing more comes
  void finish(FinishReason reason, std::optional<TokenId> stop_token);

  SampleOptions options_;
  Detokenizer detokenizer_;
  StopMatcher stop_matcher_;
  ReasoningParser reasoning_parser_;
  std::optional<ToolCallParser> tool_parser_;
  int num_calls_ = 0;
  Delta delta_;
  std::string finish_reason_;
  Json stop_reason_;
  bool is_repetition_ = false;
  int num_tokens_ = 0, num_reasoning_tokens_ = 0;
};

}  // namespace retort
