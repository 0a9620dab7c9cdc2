#include "server/openai/generate_request.h"

#include <charconv>

#include "server/openai/consensus_field.h"
#include "server/openai/structured_output.h"

namespace retort::openai {
namespace {

constexpr size_t kMaxStops = 16;
constexpr size_t kMaxBadWords = 1000;
constexpr size_t kMaxIdBytes = 128;
constexpr int kMaxSamples = 64;
constexpr int kMaxLogprobs = 20;
constexpr float kMaxBias = 100;

using Request = GenerateRequest;

ApiStatus read_bad_words(const Json& value, Request& request) {
  RETORT_API_ASSIGN(request.bad_words, read_strings(value, "bad_words", kMaxBadWords));
  for (size_t i = 0; i < request.bad_words.size(); ++i)
    if (request.bad_words[i].empty())
      return expected(fmt::format("bad_words[{}]", i), "a string that is not empty", value[i]);
  return {};
}

ApiStatus read_allowed_token_ids(const Json& value, Request& request) {
  RETORT_API_ASSIGN(request.allowed_token_ids, read_token_ids(value, "allowed_token_ids"));
  if (request.allowed_token_ids.empty()) return expected("allowed_token_ids", "at least one token id", value);
  return {};
}

ApiStatus read_logit_bias(const Json& value, Request& request) {
  if (!value.is_object()) return expected("logit_bias", "an object of token ids and numbers", value);
  for (const auto& [key, bias] : value.items()) {
    const std::string path = fmt::format("logit_bias[\"{}\"]", key);
    TokenId id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0)
      return expected(path, "a token id as key", Json(key));
    RETORT_API_ASSIGN(const double number, read_number(bias, path, {-kMaxBias, kMaxBias}));
    request.logit_bias[id] = static_cast<float>(number);
  }
  return {};
}

struct StreamOptions {
  bool include_usage = false, continuous_usage_stats = false, include_obfuscation = false;
};

const FieldTable<StreamOptions>& stream_options_table() {
  static const FieldTable<StreamOptions> table({
      bool_field("include_usage", &StreamOptions::include_usage, false, "One more chunk at the end carries the usage."),
      bool_field("continuous_usage_stats", &StreamOptions::continuous_usage_stats, false,
                 "Every chunk carries the usage so far."),
      ignored_field<StreamOptions>("include_obfuscation", "Chunks are never padded."),
  });
  return table;
}

ApiStatus read_stream_options(const Json& value, Request& request) {
  StreamOptions options;
  RETORT_API_TRY(stream_options_table().apply(value, options, "stream_options."));
  request.has_stream_options = true;
  request.include_usage = options.include_usage;
  request.continuous_usage_stats = options.continuous_usage_stats;
  return {};
}

ApiStatus read_request_id(const Json& value, Request& request) {
  RETORT_API_ASSIGN(request.request_id, read_string(value, "request_id"));
  for (const char c : request.request_id)
    if (c <= ' ' || c > '~') return expected("request_id", "printable ASCII characters", value);
  if (request.request_id.size() > kMaxIdBytes) return expected("request_id", "at most 128 characters", value);
  return {};
}

const FieldTable<RepetitionRule>& repetition_table() {
  using R = RepetitionRule;
  static const FieldTable<R> table({
      int_field("max_pattern_size", &R::max_pattern_size, {0, kMaxPatternSize}, 0, "Tokens; 0: nothing is looked for."),
      int_field("min_pattern_size", &R::min_pattern_size, {0, kMaxPatternSize}, 0, "Tokens; 0 means 1."),
      int_field("min_count", &R::min_count, {0, kMaxInt}, 0, "So often in a row: at least 2."),
  });
  return table;
}

ApiStatus read_repetition(const Json& value, Request& request) {
  RepetitionRule rule{.min_pattern_size = 0, .min_count = 0};
  RETORT_API_TRY(repetition_table().apply(value, rule, "repetition_detection."));
  if (rule.min_pattern_size > rule.max_pattern_size)
    return expected("repetition_detection.min_pattern_size",
                    fmt::format("at most max_pattern_size ({})", rule.max_pattern_size), rule.min_pattern_size);
  if (rule.max_pattern_size > 0 && rule.min_count < 2)
    return expected("repetition_detection.min_count", "an integer of at least 2", rule.min_count);
  if (rule.max_pattern_size == 0) rule = {};
  request.repetition_detection = rule;
  return {};
}

Json repetition_schema() {
  Json schema = repetition_table().schema();
  schema["description"] =
      "End the answer when a pattern of so many tokens stands at its end so often. Replaces --repetition-guard.";
  return schema;
}

// Ids end up in headers and logs.
Json request_id_schema() { return {{"type", "string"}, {"pattern", "^[!-~]*$"}, {"maxLength", kMaxIdBytes}}; }

Json logit_bias_schema() {
  return {{"type", "object"},
          {"propertyNames", Json::object({{"pattern", "^[0-9]{1,9}$"}})},
          {"additionalProperties", {{"type", "number"}, {"minimum", -kMaxBias}, {"maximum", kMaxBias}}}};
}

std::vector<Field<Request>> sampling_fields() {
  return {
      number_field("temperature", &Request::temperature, {0, 2}, nullptr,
                   "0: greedy. Default: what the model's makers recommend, else 1; 0.6 for reasoning models."),
      number_field("top_p", &Request::top_p, {0, 1, true}, nullptr,
                   "Nucleus sampling. Default: the model's own, else 1; 0.95 for reasoning models."),
      int_field("top_k", &Request::top_k, {-1, kMaxInt}, nullptr, "Sample among the k most likely; 0 or -1: all."),
      number_field("min_p", &Request::min_p, {0, 1}, nullptr,
                   "Least probability, relative to the most likely token's."),
      number_field("typical_p", &Request::typical_p, {0, 1, true}, 1, "Locally typical sampling."),
      number_field("frequency_penalty", &Request::frequency_penalty, {-2, 2}, 0,
                   "Per occurrence among the generated tokens."),
      number_field("presence_penalty", &Request::presence_penalty, {-2, 2}, 0, "For tokens already generated."),
      number_field("repetition_penalty", &Request::repetition_penalty, kRepetitionPenaltyRange, 1,
                   "Over prompt and generated tokens."),
      {"logit_bias",
       described(logit_bias_schema(), "Token id to a number from -100 to 100 that is added to its logit."),
       read_logit_bias},
      int_field("seed", &Request::seed, {}, nullptr, "The same seed gives the same text."),
      {"allowed_token_ids", described(list_schema(token_id_schema(), 1), "Only these are ever sampled."),
       read_allowed_token_ids},
      {"bad_words",
       described(list_schema(text_not_empty_schema(), 0, kMaxBadWords), "Strings that are never completed."),
       read_bad_words},
  };
}

std::vector<Field<Request>> ending_fields() {
  return {
      int_field("min_tokens", &Request::min_tokens, {0, kMaxInt}, 0,
                "Stop tokens are not sampled before, and stop strings are passed over."),
      token_ids_field("stop_token_ids", &Request::stop_token_ids, "Tokens that end the text, besides the model's own."),
      bool_field("include_stop_str_in_output", &Request::include_stop_str_in_output, false,
                 "Keep the stop string in the text."),
      bool_field("ignore_eos", &Request::ignore_eos, false, "Go on after the model's end-of-text token."),
      {"repetition_detection", repetition_schema(), read_repetition},
  };
}

std::vector<Field<Request>> running_fields() {
  return {
      int_field("stream_interval", &Request::stream_interval, {1, kMaxInt}, 1,
                "At least so many tokens a chunk, after the first."),
      bool_field("skip_special_tokens", &Request::skip_special_tokens, true, "Leave control tokens out of the text."),
      bool_field("add_special_tokens", &Request::add_special_tokens, nullptr,
                 "Add BOS as the tokenizer wants it. Default: true for text, false for chats, whose template does it."),
      int_field("truncate_prompt_tokens", &Request::truncate_prompt_tokens, {-1, kMaxInt}, nullptr,
                "Keep only the prompt's last tokens; -1: as many as the context holds."),
      int_field("priority", &Request::priority, {-kMaxInt, kMaxInt}, 0, "Lower is sooner."),
      {"request_id", described(request_id_schema(), "Becomes part of the answer's id."), read_request_id},
      cache_salt_field(),
  };
}

std::vector<Field<Request>> output_fields() {
  return {
      bool_field("stream", &Request::stream, false, "Server-sent events instead of one body."),
      {"stream_options", stream_options_table().schema(), read_stream_options},
      int_field("n", &Request::n, {1, kMaxSamples}, 1, "So many answers, which share the prompt's work."),
      int_field("prompt_logprobs", &Request::prompt_logprobs, {0, kMaxLogprobs}, nullptr,
                "Log-probabilities of the prompt's tokens."),
      bool_field("return_token_ids", &Request::return_token_ids, false, "Token ids beside the text."),
      bool_field("echo", &Request::echo, false,
                 "Begin the text with the prompt (completions) or the last message continued (chat)."),
  };
}

std::vector<Field<Request>> other_fields() {
  return {
      string_field("model", &Request::model, "The served model's name."),
      stop_field(),
      ignored_field<Request>("metadata", "For the caller's own records."),
      ignored_field<Request>("store", "Nothing is stored."),
      ignored_field<Request>("prediction", "A hint that changes no answer."),
      refused_field<Request>("best_of", {1}, "not supported; use n"),
      refused_field<Request>("suffix", {""}, "not supported"),
      refused_field<Request>("use_beam_search", {false}, "not supported"),
  };
}

}  // namespace

Field<GenerateRequest> cache_salt_field() {
  return {"cache_salt",
          described(text_not_empty_schema(), "Prompts are shared in the prefix cache only between equal salts."),
          [](const Json& value, Request& request) -> ApiStatus {
            RETORT_API_ASSIGN(request.cache_salt, read_string(value, "cache_salt"));
            if (request.cache_salt.empty()) return expected("cache_salt", "a string that is not empty", value);
            return {};
          }};
}

Field<GenerateRequest> stop_field() { return {"stop", stop_schema(), read_stop}; }

Json stop_schema() {
  return described(any_of({text_schema(), list_schema(text_schema(), 0, kMaxStops)}),
                   "A string, or a list of up to 16, that ends the text; empty ones are taken as none.");
}

ApiStatus read_stop(const Json& value, GenerateRequest& request) {
  if (value.is_string())
    request.stop = {value.get<std::string>()};
  else if (value.is_array()) {
    RETORT_API_ASSIGN(request.stop, read_strings(value, "stop", kMaxStops));
  } else {
    return expected("stop", "a string or a list of strings", value);
  }
  std::erase(request.stop, "");  // OpenAI's clients send "" for none
  return {};
}

std::vector<Field<GenerateRequest>> bookkeeping_fields() {
  return {
      ignored_field<Request>("user", "For the caller's own records."),
      ignored_field<Request>("service_tier", "There is one tier."),
      ignored_field<Request>("safety_identifier", "For the caller's own records."),
      ignored_field<Request>("prompt_cache_key", "The prefix cache needs no key."),
      ignored_field<Request>("prompt_cache_options", "The prefix cache needs none."),
      ignored_field<Request>("prompt_cache_retention", "The prefix cache keeps what memory allows."),
  };
}

const std::vector<Field<GenerateRequest>>& engine_fields() {
  static const std::vector<Field<Request>> fields = [] {
    std::vector<Field<Request>> all;
    for (const auto& group : {sampling_fields(), ending_fields(), running_fields(), structured_output_fields()})
      all.insert(all.end(), group.begin(), group.end());
    return all;
  }();
  return fields;
}

const std::vector<Field<GenerateRequest>>& generate_fields() {
  static const std::vector<Field<Request>> fields = [] {
    std::vector<Field<Request>> all;
    for (const auto& group :
         {other_fields(), bookkeeping_fields(), output_fields(), consensus_fields(), engine_fields()})
      all.insert(all.end(), group.begin(), group.end());
    all.push_back(response_format_field());
    return all;
  }();
  return fields;
}

ApiStatus check_generate_request(const GenerateRequest& request) {
  if (request.has_stream_options && !request.stream)
    return refuse(400, "stream_options: only allowed when stream is true", "stream_options");
  RETORT_API_TRY(check_consensus(request));
  if (request.stream && request.prompt_logprobs)
    return refuse(400, "prompt_logprobs: not available when stream is true", "prompt_logprobs");
  if (request.max_tokens && request.min_tokens > *request.max_tokens)
    return refuse(
        400,
        fmt::format("min_tokens: expected at most max_tokens ({}), got {}", *request.max_tokens, request.min_tokens),
        "min_tokens");
  if (request.grammar && (!request.allowed_token_ids.empty() || !request.bad_words.empty())) {
    const std::string name = request.bad_words.empty() ? "allowed_token_ids" : "bad_words";
    return refuse(
        400, fmt::format("{}: cannot be used together with {}, which says what may come", name, request.grammar->field),
        name);
  }
  return {};
}

}  // namespace retort::openai
