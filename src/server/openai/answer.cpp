#include "server/openai/answer.h"

#include "server/openai/consensus_field.h"
#include "server/openai/logprobs.h"

namespace retort::openai {

Json usage_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", Json::object({{"cached_tokens", usage.cached_tokens}})},
          {"completion_tokens_details", Json::object({{"reasoning_tokens", usage.reasoning_tokens}})}};
}

Answer::Answer(const ServedModel& model, const GenerateRequest& request, AnswerHead head, const Job& job)
    : Reply(model, job), request_(request), head_(std::move(head)) {
  if (request.consensus) ballot_.emplace(request.consensus->n, answer_kind(request));
}

ApiStatus Answer::take(const Generation::News& news) {
  if (!ballot_) return Reply::take(news);
  if (ballot_->is_decided()) return {};
  const auto idx = static_cast<size_t>(news.event.sample_idx);
  if (choices()[idx].sample.is_finished()) return {};  // by a stop string
  RETORT_API_TRY(Reply::take(news));
  ballot_->see(idx, news.event.tokens);
  if (choices()[idx].sample.is_finished()) count_vote(idx);
  return {};
}

void Answer::count_vote(size_t idx) {
  const Sample& sample = choices()[idx].sample;
  ballot_->cast(idx, sample.delta().content, sample.finish_reason() == "stop" && !sample.is_repetition());
  if (!request_.stream) return;
  Json event = chunk(Json::array());
  event["consensus"] = ballot_->json();
  vote_chunks_ += sse_event(event);
}

bool Answer::is_finished(size_t prompt_idx) const {
  return (ballot_ && ballot_->is_decided()) || Reply::is_finished(prompt_idx);
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
  return choice.has_begun && !is_cut_off() ? delta.is_due(request_.stream_interval) : !delta.is_empty();
}

void Answer::append_chunks(size_t idx, std::string& events) {
  Choice& choice = choices()[idx];
  const auto add = [&](const Json& body, const Json& beside = Json::object()) {
    Json with_index = {{"index", ballot_ ? 0 : idx}};
    with_index.update(body);
    Json event = chunk(Json::array({std::move(with_index)}));
    event.update(beside);
    if (ballot_ && choice.has_ended) event["consensus"] = ballot_->json();
    events += sse_event(event);
  };
  if (choice.has_ended || !is_due(choice)) return;
  Json prompt = Json::object();
  if (!choice.has_begun && request_.return_token_ids) prompt["prompt_token_ids"] = prompts()[choice.prompt_idx].tokens;
  if (const Json first = choice.has_begun ? Json() : first_chunk_body(); !first.is_null())
    add(first, std::exchange(prompt, Json::object()));
  std::vector<Json> bodies = chunk_bodies(choice, choice.sample.take_delta());
  bodies.front().update(prompt);
  choice.has_begun = true;
  if (choice.sample.is_finished()) {
    bodies.back()["finish_reason"] = choice.sample.finish_reason();
    bodies.back()["stop_reason"] = choice.sample.stop_reason();
    choice.has_ended = true;
  }
  for (const Json& body : bodies) add(body);
}

std::string Answer::chunks() {
  if (ballot_) return std::exchange(vote_chunks_, {});
  std::string events;
  for (size_t idx = 0; idx < choices().size(); ++idx) append_chunks(idx, events);
  return events;
}

std::string Answer::last_chunks() {
  std::string events = chunks();
  if (ballot_) append_chunks(*ballot_->winner(), events);
  if (request_.include_usage) {
    Json last = chunk(Json::array());
    last["usage"] = usage_json(usage());
    events += sse_event(last);
  }
  return events += kStreamDone;
}

std::string Answer::error_chunks(const ApiError& error) const {
  return sse_event(error_json(error)) + std::string(kStreamDone);
}

Json Answer::whole_choice(size_t idx) {
  Choice& choice = choices()[idx];
  const Delta delta = choice.sample.take_delta();
  Json body = {{"index", ballot_ ? 0 : idx}};
  body.update(whole_body(choice, delta));
  body["finish_reason"] = choice.sample.finish_reason();
  body["stop_reason"] = choice.sample.stop_reason();
  if (request_.return_token_ids) body["token_ids"] = token_ids(delta.tokens);
  return body;
}

Json Answer::whole() {
  Json list = Json::array();
  if (ballot_)
    list.push_back(whole_choice(*ballot_->winner()));
  else
    for (size_t idx = 0; idx < choices().size(); ++idx) list.push_back(whole_choice(idx));
  Json json = {{"id", head_.id},       {"object", head_.object},     {"created", head_.created},
               {"model", head_.model}, {"choices", std::move(list)}, {"usage", usage_json(usage())}};
  if (ballot_) json["consensus"] = ballot_->json();
  return json;
}

void Answer::add_prompt_details(size_t prompt_idx, Json& json) const {
  const Prompt& prompt = prompts()[prompt_idx];
  if (request_.prompt_logprobs)
    json["prompt_logprobs"] = prompt_logprobs_json(tokenizer(), prompt.tokens, prompt.logprobs);
  if (request_.return_token_ids) json["prompt_token_ids"] = prompt.tokens;
}

}  // namespace retort::openai
