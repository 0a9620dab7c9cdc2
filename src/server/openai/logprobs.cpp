#include "server/openai/logprobs.h"

#include <algorithm>
#include <cmath>

namespace retort::openai {
namespace {

constexpr float kLeastLogprob = -9999.0f;  // JSON has no infinity; OpenAI and vLLM write this

float finite(float logprob) { return std::isfinite(logprob) ? std::max(logprob, kLeastLogprob) : kLeastLogprob; }

std::string text_of(const Tokenizer& tokenizer, TokenId id) { return tokenizer.decode({&id, 1}, false); }

int64_t num_characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](unsigned char c) { return (c & 0xC0) != 0x80; });
}

Json chat_entry(const Tokenizer& tokenizer, TokenId id, float logprob) {
  Json bytes = Json::array();
  for (const unsigned char byte : tokenizer.token_bytes(id)) bytes.push_back(byte);
  return {{"token", text_of(tokenizer, id)}, {"logprob", finite(logprob)}, {"bytes", std::move(bytes)}};
}

}  // namespace

Json chat_logprobs(const Tokenizer& tokenizer, const std::vector<SampledToken>& tokens) {
  Json content = Json::array();
  for (const SampledToken& token : tokens) {
    if (!token.logprob) continue;  // a stop token
    Json entry = chat_entry(tokenizer, token.id, token.logprob->logprob);
    entry["top_logprobs"] = Json::array();
    for (const TokenLogprob& top : token.top_logprobs)
      entry["top_logprobs"].push_back(chat_entry(tokenizer, top.id, top.logprob));
    content.push_back(std::move(entry));
  }
  return Json::object({{"content", std::move(content)}});
}

Json completion_logprobs(const Tokenizer& tokenizer, const std::vector<CompletionLogprob>& tokens, int64_t& offset) {
  Json offsets = Json::array(), logprobs = Json::array(), names = Json::array(), tops = Json::array();
  for (const CompletionLogprob& token : tokens) {
    const std::string text = text_of(tokenizer, token.id);
    offsets.push_back(offset);
    offset += num_characters(text);
    names.push_back(text);
    logprobs.push_back(token.logprob ? Json(finite(*token.logprob)) : Json());
    Json top = Json::object();
    for (const TokenLogprob& likely : token.top) top[text_of(tokenizer, likely.id)] = finite(likely.logprob);
    if (token.logprob) top[text] = finite(*token.logprob);  // vLLM: the token itself is always among them
    tops.push_back(token.logprob ? std::move(top) : Json());
  }
  return {{"text_offset", std::move(offsets)},
          {"token_logprobs", std::move(logprobs)},
          {"tokens", std::move(names)},
          {"top_logprobs", std::move(tops)}};
}

std::vector<CompletionLogprob> of_generated(const std::vector<SampledToken>& tokens) {
  std::vector<CompletionLogprob> entries;
  for (const SampledToken& token : tokens)
    if (token.logprob) entries.push_back({token.id, token.logprob->logprob, token.top_logprobs});
  return entries;
}

std::vector<CompletionLogprob> of_prompt(const std::vector<TokenId>& tokens,
                                         const std::vector<std::vector<TokenLogprob>>& logprobs) {
  std::vector<CompletionLogprob> entries;
  for (size_t i = 0; i < tokens.size(); ++i) {
    CompletionLogprob entry{tokens[i], std::nullopt, {}};
    if (i < logprobs.size() && !logprobs[i].empty()) {
      entry.logprob = logprobs[i].front().logprob;
      entry.top.assign(logprobs[i].begin() + 1, logprobs[i].end());
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

Json prompt_logprobs_json(const Tokenizer& tokenizer, const std::vector<TokenId>& tokens,
                          const std::vector<std::vector<TokenLogprob>>& logprobs) {
  Json list = Json::array();
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i >= logprobs.size() || logprobs[i].empty()) {
      list.push_back(nullptr);
      continue;
    }
    Json position = Json::object();
    for (const TokenLogprob& entry : logprobs[i])
      position[std::to_string(entry.id)] = {
          {"logprob", finite(entry.logprob)}, {"rank", entry.rank}, {"decoded_token", text_of(tokenizer, entry.id)}};
    list.push_back(std::move(position));
  }
  return list;
}

Json token_ids(const std::vector<SampledToken>& tokens) {
  Json ids = Json::array();
  for (const SampledToken& token : tokens) ids.push_back(token.id);
  return ids;
}

}  // namespace retort::openai
