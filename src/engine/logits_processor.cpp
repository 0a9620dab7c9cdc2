#include "engine/logits_processor.h"

#include <algorithm>
#include <cmath>

namespace retort {
namespace {

bool has_penalties(const SamplingParams& params) {
  return params.frequency_penalty != 0 || params.presence_penalty != 0 || params.repetition_penalty != 1;
}

// The last token of a bad word is impossible where the tokens before it have just been generated.
void exclude_bad_words(const std::vector<std::vector<TokenId>>& bad_words, std::span<const TokenId> generated,
                       std::vector<float>& row) {
  for (const auto& word : bad_words) {
    const auto beginning = std::span(word).first(word.size() - 1);
    if (beginning.size() <= generated.size() && std::ranges::equal(beginning, generated.last(beginning.size())))
      row[word.back()] = -INFINITY;
  }
}

void apply_penalties(const SamplingParams& params, const TokenCounts& counts, std::vector<float>& row) {
  for (const auto& [id, count] : counts.counts()) {
    float& logit = row[id];
    logit = logit > 0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
    if (count.num_generated == 0) continue;
    logit -= params.frequency_penalty * static_cast<float>(count.num_generated);
    logit -= params.presence_penalty;
  }
}

Status check_range(const char* name, float value, bool in_range, const char* range) {
  if (in_range) return {};
  return fail(ErrorKind::kBadInput, "[sampling] {}: expected {}, got {}", name, range, value);
}

Status check_ids(const char* name, std::span<const TokenId> ids, int32_t vocab_size) {
  for (TokenId id : ids)
    if (id < 0 || id >= vocab_size)
      return fail(ErrorKind::kBadInput, "[sampling] {}: expected token ids 0 to {}, got {}", name, vocab_size - 1, id);
  return {};
}

Status check_count(const char* name, std::optional<int> count, int32_t vocab_size) {
  if (!count || (*count >= 0 && *count <= vocab_size)) return {};
  return fail(ErrorKind::kBadInput, "[sampling] {}: expected 0 to {}, got {}", name, vocab_size, *count);
}

void exclude_others(std::span<const uint32_t> allowed, std::vector<float>& row) {
  constexpr size_t kBits = 32;
  for (size_t begin = 0; begin < row.size(); begin += kBits) {
    const uint32_t word = begin / kBits < allowed.size() ? allowed[begin / kBits] : 0;
    if (word == ~0u) continue;
    const size_t count = std::min(kBits, row.size() - begin);
    for (size_t i = 0; i < count; ++i)
      if ((word >> i & 1) == 0) row[begin + i] = -INFINITY;
  }
}

}  // namespace

// A comparison with NaN is false, so NaN is out of every range.
Status check_params(const SamplingParams& p, int32_t vocab_size) {
  RETORT_TRY(check_range("temperature", p.temperature, p.temperature >= 0 && std::isfinite(p.temperature),
                         "a number not below 0"));
  RETORT_TRY(check_range("top_p", p.top_p, p.top_p > 0 && p.top_p <= 1, "above 0, at most 1"));
  RETORT_TRY(check_range("min_p", p.min_p, p.min_p >= 0 && p.min_p <= 1, "0 to 1"));
  RETORT_TRY(check_range("typical_p", p.typical_p, p.typical_p > 0 && p.typical_p <= 1, "above 0, at most 1"));
  RETORT_TRY(check_range("frequency_penalty", p.frequency_penalty, std::isfinite(p.frequency_penalty), "a number"));
  RETORT_TRY(check_range("presence_penalty", p.presence_penalty, std::isfinite(p.presence_penalty), "a number"));
  RETORT_TRY(check_range("repetition_penalty", p.repetition_penalty,
                         p.repetition_penalty > 0 && std::isfinite(p.repetition_penalty), "a number above 0"));
  if (p.top_k < 0) return fail(ErrorKind::kBadInput, "[sampling] top_k: expected 0 (all) or more, got {}", p.top_k);
  if (p.max_tokens < 0)
    return fail(ErrorKind::kBadInput, "[sampling] max_tokens: expected 0 or more, got {}", p.max_tokens);
  if (p.min_tokens < 0 || p.min_tokens > p.max_tokens)
    return fail(ErrorKind::kBadInput, "[sampling] min_tokens: expected 0 to max_tokens ({}), got {}", p.max_tokens,
                p.min_tokens);
  if (p.repetition && (p.repetition->max_pattern_size > kMaxPatternSize || p.repetition->min_count < 2))
    return fail(ErrorKind::kBadInput,
                "[sampling] repetition: expected patterns of at most {} tokens, 2 times or more, got {}, {} times",
                kMaxPatternSize, p.repetition->max_pattern_size, p.repetition->min_count);
  for (const auto& [id, bias] : p.logit_bias) {
    RETORT_TRY(check_ids("logit_bias", {&id, 1}, vocab_size));
    RETORT_TRY(check_range("logit_bias", bias, std::isfinite(bias), "a number"));
  }
  RETORT_TRY(check_ids("stop_token_ids", p.stop_token_ids, vocab_size));
  RETORT_TRY(check_ids("allowed_token_ids", p.allowed_token_ids, vocab_size));
  for (const auto& word : p.bad_words) {
    if (word.empty())
      return fail(ErrorKind::kBadInput, "[sampling] bad_words: expected at least one token in each, got none");
    RETORT_TRY(check_ids("bad_words", word, vocab_size));
  }
  RETORT_TRY(check_count("logprobs", p.logprobs, vocab_size));
  return check_count("prompt_logprobs", p.prompt_logprobs, vocab_size);
}

TokenCounts::TokenCounts(const SamplingParams& params, std::span<const TokenId> prompt)
    : enabled_(has_penalties(params)) {
  if (!enabled_) return;
  for (TokenId id : prompt) counts_[id].in_prompt = true;
}

std::span<const float> process_logits(std::span<const float> logits, const SampleInput& input,
                                      std::vector<float>& scratch) {
  const SamplingParams& params = input.params;
  // Of what a constraint leaves, a request may not leave nothing: where that lets the answer end there may be nothing
  // else to say, and where it ends thinking there is one token.
  const bool is_bound = !input.allowed.empty();
  const bool too_early = !is_bound && std::ssize(input.generated) < params.min_tokens && !input.stop_tokens.empty();
  if (params.allowed_token_ids.empty() && params.bad_words.empty() && params.logit_bias.empty() && !too_early &&
      !has_penalties(params) && !is_bound)
    return logits;

  if (is_bound || params.allowed_token_ids.empty()) {
    scratch.assign(logits.begin(), logits.end());
  } else {
    scratch.assign(logits.size(), -INFINITY);
    for (TokenId id : params.allowed_token_ids) scratch[id] = logits[id];
  }
  if (!is_bound) exclude_bad_words(params.bad_words, input.generated, scratch);
  if (too_early)
    for (TokenId id : input.stop_tokens) scratch[id] = -INFINITY;
  for (const auto& [id, bias] : params.logit_bias) scratch[id] += bias;
  apply_penalties(params, input.counts, scratch);
  if (is_bound) exclude_others(input.allowed, scratch);
  return scratch;
}

}  // namespace retort
