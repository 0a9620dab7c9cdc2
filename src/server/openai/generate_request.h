// The fields that chat and text completions share (vLLM's names and meanings), and the table that reads them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/request.h"
#include "server/consensus/answer_key.h"
#include "server/fields/field_table.h"
#include "text/grammar.h"

namespace retort::openai {

// The form of the answer, and the field that asks for it.
struct GrammarText {
  GrammarKind kind;
  std::string text, field;
};

// Several samples, and the answer that most agree on.
struct ConsensusOptions {
  bool enabled = true;
  int n = 5;
  std::optional<AnswerKind> extract;  // none: as answer_kind() has it
};

struct GenerateRequest {
  std::string model;
  std::optional<float> temperature, top_p, min_p, typical_p, frequency_penalty, presence_penalty, repetition_penalty;
  std::optional<int> top_k;
  std::map<TokenId, float> logit_bias;
  std::optional<int64_t> seed;
  int n = 1;
  std::optional<int> max_tokens;
  int min_tokens = 0;
  std::vector<std::string> stop;
  std::vector<TokenId> stop_token_ids, allowed_token_ids;
  std::vector<std::string> bad_words;
  bool include_stop_str_in_output = false;
  bool ignore_eos = false;
  std::optional<RepetitionRule> repetition_detection;  // none: the engine's guard
  std::optional<int> prompt_logprobs;
  bool stream = false;
  bool include_usage = false, continuous_usage_stats = false;  // stream_options
  bool has_stream_options = false;
  int stream_interval = 1;
  bool skip_special_tokens = true;
  std::optional<bool> add_special_tokens;
  std::optional<int64_t> truncate_prompt_tokens;  // keep the last n; -1: as many as fit
  int priority = 0;
  std::string request_id, cache_salt;
  bool return_token_ids = false;
  std::optional<GrammarText> grammar;
  bool echo = false;
  std::optional<ConsensusOptions> consensus;  // none: not enabled
};

// What SDKs send for the caller's own records and for caches elsewhere: it changes no answer.
std::vector<Field<GenerateRequest>> bookkeeping_fields();
// vLLM's that say how an answer is made and leave its shape alone: the other APIs have them beside their own.
const std::vector<Field<GenerateRequest>>& engine_fields();
// These, bookkeeping_fields() and what is OpenAI's own.
const std::vector<Field<GenerateRequest>>& generate_fields();
Field<GenerateRequest> stop_field();
Field<GenerateRequest> cache_salt_field();

// Below the least, a logit divided by the penalty is no number that can be counted with.
inline constexpr NumberRange kRepetitionPenaltyRange{0.01, 10};

// A string or a list of strings.
Json stop_schema();
ApiStatus read_stop(const Json& value, GenerateRequest& request);

// Rules between fields, after all have been read.
ApiStatus check_generate_request(const GenerateRequest& request);

}  // namespace retort::openai
