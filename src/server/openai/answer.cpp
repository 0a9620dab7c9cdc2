#include "server/openai/answer.h"

#include "server/openai/logprobs.h"

namespace retort::openai {

Json usage_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", Json::object({{"cached_tokens", usage.cached_tokens}})},
          {"completion_tokens_details", Json::object({{"reasoning_tokens", usage.reasoning_tokens}})}};
}

Json Answer::chunk(Json choices) const {
  Json json = {{"id", head_.id},
               {"object", head_.chunk_object},
               {"created", head_.created},
               {"model", head_.model},
               {"choices", std::move(choices)}};
  if (request_.continuous_usage_stats)
    json["usage"] = usage_json(usage());
  else if (request_.include_usage)
    json["usage"] = nullptr;
  return json;
}

// Whether what is new of a choice makes a chunk now.
bool Answer::is_due(const Choice& choice) const {
  if (choice.sample.is_finished()) return true;
  const Delta& delta = choice.sample.delta();
  if (delta.content.empty() && delta.reasoning.empty() && delta.tokens.empty()) return false;
  return !choice.has_begun || delta.num_tokens >= request_.stream_interval;
}

void Answer::append_chunks(size_t idx, std::string& events) {
  Choice& choice = choices()[idx];
  const auto add = [&](Json body) {
    Json with_index = {{"index", idx}};
    with_index.update(body);
    events += sse_event(chunk(Json::array({std::move(with_index)})));
  };
  if (choice.has_ended || !is_due(choice)) return;
  if (!choice.has_begun)
    if (Json first = first_chunk_body(); !first.is_null()) add(std::move(first));
  Json body = chunk_body(choice, choice.sample.take_delta());
  choice.has_begun = true;
  if (choice.sample.is_finished()) {
    body["finish_reason"] = choice.sample.finish_reason();
    body["stop_reason"] = choice.sample.stop_reason();
    choice.has_ended = true;
  }
  add(std::move(body));
}

std::string Answer::chunks() {
  std::string events;
  for (size_t idx = 0; idx < choices().size(); ++idx) append_chunks(idx, events);
  return events;
}

std::string Answer::last_chunks() {
  std::string events;
  if (request_.include_usage) {
    Json last = chunk(Json::array());
    last["usage"] = usage_json(usage());
    events = sse_event(last);
  }
  return events += kStreamDone;
}

std::string Answer::error_chunks(const ApiError& error) const {
  return sse_event(error_json(error)) + std::string(kStreamDone);
}

Json Answer::whole() {
  Json list = Json::array();
  for (size_t idx = 0; idx < choices().size(); ++idx) {
    Choice& choice = choices()[idx];
    const Delta delta = choice.sample.take_delta();
    Json body = {{"index", idx}};
    body.update(whole_body(choice, delta));
    body["finish_reason"] = choice.sample.finish_reason();
    body["stop_reason"] = choice.sample.stop_reason();
    if (request_.return_token_ids) body["token_ids"] = token_ids(delta.tokens);
    list.push_back(std::move(body));
  }
  return {{"id", head_.id},       {"object", head_.object},     {"created", head_.created},
          {"model", head_.model}, {"choices", std::move(list)}, {"usage", usage_json(usage())}};
}

void Answer::add_prompt_details(size_t prompt_idx, Json& json) const {
  const Prompt& prompt = prompts()[prompt_idx];
  if (request_.prompt_logprobs)
    json["prompt_logprobs"] = prompt_logprobs_json(tokenizer(), prompt.tokens, prompt.logprobs);
  if (request_.return_token_ids) json["prompt_token_ids"] = prompt.tokens;
}

}  // namespace retort::openai
