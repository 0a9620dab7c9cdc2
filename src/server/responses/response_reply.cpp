#include "server/responses/response_reply.h"

#include <charconv>
#include <ctime>

#include "server/http/message.h"
#include "server/openai/logprobs.h"
#include "server/tools/tool_use.h"

namespace retort::responses {
namespace {

// 0.7 is kept as the float that is nearest; as a double that would be 0.699999988.
double number_as_written(float number) {
  const std::string text = fmt::format("{}", number);
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

std::string ResponseReply::new_id(Kind kind) {
  return (kind == Kind::kMessage ? "msg_" : kind == Kind::kCall ? "fc_" : "rs_") + http::make_request_id();
}

ResponseReply::ResponseReply(const ServedModel& model, const Job& job, const Request& request, std::string id,
                             std::string name_in_store, Json conversation, ResponseStore& store)
    : Reply(model, job),
      request_(request),
      conversation_(std::move(conversation)),
      store_(store),
      id_(std::move(id)),
      name_(std::move(name_in_store)),
      created_at_(std::time(nullptr)),
      max_output_tokens_(request.max_tokens ? Json(*request.max_tokens) : Json()),
      temperature_(job.requests[0].params.temperature),
      top_p_(job.requests[0].params.top_p) {}

ResponseReply::~ResponseReply() {
  store_.end(name_);
  if (!has_ended_) store_.remove(name_);
}

void ResponseReply::degrade(const std::vector<EngineRequest>& instead) {
  const SamplingParams& params = instead[0].params;
  max_output_tokens_ = params.max_tokens;
  temperature_ = params.temperature;
}

void ResponseReply::begin(const std::function<void()>& cancel) {
  store_.begin(name_, [this, cancel] {
    if (is_finished()) return false;
    is_cancelled_ = true;
    cancel();
    return true;
  });
  if (request_.store) store_.put(name_, response("in_progress"), conversation_);
}

std::string_view ResponseReply::status() const {
  const std::string& reason = choices()[0].sample.finish_reason();
  const bool is_whole = reason == "stop" || reason == "tool_calls";
  if (is_cancelled_ && !is_whole) return "cancelled";
  return is_whole ? "completed" : reason == "length" ? "incomplete" : "failed";
}

Json ResponseReply::response(std::string_view status) const {
  Json output = Json::array();
  for (const Item& item : items_) output.push_back(item_json(item, status_of(item, status), true));
  const Usage numbers = usage();
  Json json = {
      {"id", id_},
      {"object", "response"},
      {"created_at", created_at_},
      {"status", status},
      {"error", nullptr},
      {"incomplete_details", nullptr},
      {"instructions", request_.instructions.empty() ? Json() : Json(request_.instructions)},
      {"max_output_tokens", max_output_tokens_},
      {"model", model().id},
      {"output", std::move(output)},
      {"parallel_tool_calls", request_.tool_use.parallel},
      {"previous_response_id", request_.previous_response_id.empty() ? Json() : Json(request_.previous_response_id)},
      {"temperature", number_as_written(temperature_)},
      {"text", Json::object({{"format", request_.text_format}})},
      {"tool_choice", request_.tool_choice},
      {"tools", tools_json()},
      {"top_p", number_as_written(top_p_)},
      {"truncation", "disabled"},
      {"usage", nullptr},
      {"metadata", request_.metadata}};
  if (!request_.reasoning_effort.empty()) json["reasoning"] = Json::object({{"effort", request_.reasoning_effort}});
  if (status == "in_progress") return json;
  json["usage"] = {{"input_tokens", numbers.prompt_tokens},
                   {"input_tokens_details", {{"cached_tokens", numbers.cached_tokens}, {"cache_write_tokens", 0}}},
                   {"output_tokens", numbers.completion_tokens},
                   {"output_tokens_details", Json::object({{"reasoning_tokens", numbers.reasoning_tokens}})},
                   {"total_tokens", numbers.prompt_tokens + numbers.completion_tokens}};
  if (status == "incomplete") json["incomplete_details"] = Json::object({{"reason", "max_output_tokens"}});
  if (status == "failed")
    json["error"] = {{"code", "server_error"}, {"message", "the server ended before the response did"}};
  return json;
}

Json ResponseReply::tools_json() const {
  Json tools = Json::array();
  for (const Tool& tool : request_.tool_use.tools)
    tools.push_back({{"type", "function"},
                     {"name", tool.name},
                     {"description", tool.description},
                     {"parameters", tool.parameters},
                     {"strict", tool.strict}});
  return tools;
}

ResponseReply::Item ResponseReply::call_item(const ToolCallPart& call) {
  return {.kind = Kind::kCall,
          .id = new_id(Kind::kCall),
          .text = call.arguments,
          .name = call.name,
          .call_id = make_call_id(),
          .is_cut_call = !call.is_last};
}

Json ResponseReply::end() {
  has_ended_ = true;
  Json json = response(status());
  if (!request_.store) return json;
  Json answer = {{"role", "assistant"}, {"content", ""}};
  for (const Item& item : items_) {
    if (item.is_cut_call) continue;  // no template could show it
    if (item.kind != Kind::kCall) {
      Json& text = answer[item.kind == Kind::kMessage ? "content" : "reasoning"];
      text = text.is_null() ? item.text : text.get<std::string>() + item.text;
      continue;
    }
    answer["tool_calls"].push_back(
        {{"id", item.call_id}, {"type", "function"}, {"function", {{"name", item.name}, {"arguments", item.text}}}});
  }
  conversation_.push_back(std::move(answer));
  store_.put(name_, json, conversation_);
  return json;
}

Json ResponseReply::logprobs_of(const Delta& delta) const {
  return request_.logprobs ? openai::chat_logprobs(tokenizer(), delta.tokens)["content"] : Json::array();
}

// An answer that is complete has a message, though it may say nothing.
bool ResponseReply::needs_empty_message() const {
  return status() == "completed" && (items_.empty() || items_.back().kind == Kind::kReasoning);
}

// The last item is cut off where the response is.
std::string_view ResponseReply::status_of(const Item& item, std::string_view response_status) const {
  const bool is_cut = &item == &items_.back() && response_status != "completed" && response_status != "in_progress";
  return is_cut || item.is_cut_call ? "incomplete" : "completed";
}

Json ResponseReply::part_json(const Item& item, bool with_text) const {
  Json part = {{"type", item.kind == Kind::kMessage ? "output_text" : "reasoning_text"},
               {"text", with_text ? item.text : ""}};
  if (item.kind != Kind::kMessage) return part;
  part["annotations"] = Json::array();
  part["logprobs"] = with_text ? item.logprobs : Json::array();
  return part;
}

Json ResponseReply::item_json(const Item& item, std::string_view status, bool with_text) const {
  if (item.kind == Kind::kCall)
    return {{"id", item.id},
            {"type", "function_call"},
            {"call_id", item.call_id},
            {"name", item.name},
            {"arguments", with_text ? item.text : ""},
            {"status", status}};
  Json content = Json::array();
  if (with_text) content.push_back(part_json(item, true));
  if (item.kind == Kind::kReasoning)
    return {{"id", item.id},
            {"type", "reasoning"},
            {"summary", Json::array()},
            {"content", std::move(content)},
            {"status", status}};
  return {
      {"id", item.id}, {"type", "message"}, {"role", "assistant"}, {"content", std::move(content)}, {"status", status}};
}

Json ResponseReply::whole() {
  Delta delta = choices()[0].sample.take_delta();
  if (!delta.reasoning.empty())
    items_.push_back({.kind = Kind::kReasoning, .id = new_id(Kind::kReasoning), .text = std::move(delta.reasoning)});
  Json logprobs = logprobs_of(delta);
  for (ToolPiece& piece : delta.pieces()) {
    if (const auto* call = std::get_if<ToolCallPart>(&piece))
      items_.push_back(call_item(*call));
    else
      items_.push_back({.kind = Kind::kMessage,
                        .id = new_id(Kind::kMessage),
                        .text = std::get<std::string>(std::move(piece)),
                        .logprobs = std::exchange(logprobs, Json::array())});
  }
  if (needs_empty_message())
    items_.push_back({.kind = Kind::kMessage, .id = new_id(Kind::kMessage), .logprobs = std::move(logprobs)});
  return end();
}

std::string ResponseReply::event(std::string_view type, const Json& data) const {
  Json json = {{"type", type}, {"sequence_number", num_events_++}};
  json.update(data);
  return sse_event(type, json);
}

std::string ResponseReply::item_event(std::string_view type, const Json& data) const {
  Json json = {{"item_id", items_.back().id}, {"output_index", items_.size() - 1}, {"content_index", 0}};
  json.update(data);
  return event(type, json);
}

void ResponseReply::add_beginning(std::string& events) {
  if (std::exchange(has_begun_, true)) return;
  const Json json = response("in_progress");
  events += event("response.created", Json::object({{"response", json}}));
  events += event("response.in_progress", Json::object({{"response", json}}));
}

void ResponseReply::close_item(std::string& events) {
  if (!std::exchange(is_item_open_, false)) return;
  const size_t idx = items_.size() - 1;
  const Item& item = items_[idx];
  const std::string_view now = choices()[0].sample.is_finished() ? status() : "in_progress";
  if (item.kind == Kind::kCall)
    events += event("response.function_call_arguments.done",
                    {{"item_id", item.id}, {"output_index", idx}, {"arguments", item.text}});
  else if (item.kind == Kind::kMessage)
    events += item_event("response.output_text.done", {{"text", item.text}, {"logprobs", item.logprobs}});
  else
    events += item_event("response.reasoning_text.done", Json::object({{"text", item.text}}));
  if (item.kind != Kind::kCall)
    events += item_event("response.content_part.done", Json::object({{"part", part_json(item, true)}}));
  events += event("response.output_item.done",
                  {{"output_index", idx}, {"item", item_json(item, status_of(item, now), true)}});
}

// The item of this kind that is open, another one being closed first.
ResponseReply::Item& ResponseReply::open_item(Kind kind, std::string& events) {
  if (is_item_open_ && items_.back().kind == kind) return items_.back();
  close_item(events);
  items_.push_back({.kind = kind, .id = new_id(kind)});
  is_item_open_ = true;
  const size_t idx = items_.size() - 1;
  events += event("response.output_item.added",
                  {{"output_index", idx}, {"item", item_json(items_[idx], "in_progress", false)}});
  events += item_event("response.content_part.added", Json::object({{"part", part_json(items_[idx], false)}}));
  return items_.back();
}

// What is new, as deltas of the item that it belongs to.
void ResponseReply::add_new(std::string& events) {
  const Delta delta = choices()[0].sample.take_delta();
  if (!delta.reasoning.empty()) {
    open_item(Kind::kReasoning, events).text += delta.reasoning;
    events += item_event("response.reasoning_text.delta", Json::object({{"delta", delta.reasoning}}));
  }
  Json logprobs = logprobs_of(delta);
  for (const ToolPiece& piece : delta.pieces()) {
    if (const auto* call = std::get_if<ToolCallPart>(&piece))
      add_call(*call, events);
    else
      add_text(std::get<std::string>(piece), std::exchange(logprobs, Json::array()), events);
  }
  if (choices()[0].sample.is_finished() && needs_empty_message()) add_text("", std::move(logprobs), events);
}

void ResponseReply::add_text(std::string text, Json logprobs, std::string& events) {
  Item& message = open_item(Kind::kMessage, events);
  message.text += text;
  message.logprobs.insert(message.logprobs.end(), logprobs.begin(), logprobs.end());
  if (!text.empty())
    events += item_event("response.output_text.delta", {{"delta", std::move(text)}, {"logprobs", std::move(logprobs)}});
}

void ResponseReply::add_call(const ToolCallPart& call, std::string& events) {
  if (!call.name.empty()) begin_call(call, events);
  const size_t idx = items_.size() - 1;
  if (!call.arguments.empty())
    events += event("response.function_call_arguments.delta",
                    {{"item_id", items_[idx].id}, {"output_index", idx}, {"delta", call.arguments}});
  items_[idx].text += call.arguments;
  items_[idx].is_cut_call = !call.is_last;
  if (call.is_last) close_item(events);
}

void ResponseReply::begin_call(const ToolCallPart& call, std::string& events) {
  close_item(events);
  items_.push_back(call_item(call));
  items_.back().text.clear();
  is_item_open_ = true;
  const size_t idx = items_.size() - 1;
  events += event("response.output_item.added",
                  {{"output_index", idx}, {"item", item_json(items_[idx], "in_progress", false)}});
}

std::string ResponseReply::chunks() {
  const Sample& sample = choices()[0].sample;
  const bool may_wait = has_begun_ && !is_cut_off() && !sample.is_finished();
  if (may_wait && !sample.delta().is_due(request_.stream_interval)) return {};
  std::string events;
  add_beginning(events);
  add_new(events);
  return events;
}

std::string ResponseReply::last_chunks() {
  std::string events;
  add_beginning(events);
  add_new(events);
  close_item(events);
  const Json json = end();
  const std::string_view now = status();
  const std::string_view type = now == "completed" ? "response.completed"
                                : now == "failed"
                                    ? "response.failed"
                                    : "response.incomplete";  // the SDKs know no event for a cancelled one
  return events += event(type, Json::object({{"response", json}}));
}

std::string ResponseReply::error_chunks(const ApiError& error) const {
  Json json = response("failed");
  json["error"] = {{"code", "server_error"}, {"message", error.message}};
  return event("response.failed", Json::object({{"response", std::move(json)}}));
}

}  // namespace retort::responses
