#include "server/anthropic/message_reply.h"

#include "server/anthropic/endpoints.h"
#include "server/tools/tool_use.h"

namespace retort::anthropic {
namespace {

Json text_block(std::string text) { return {{"type", "text"}, {"text", std::move(text)}}; }

// Nothing is signed: whoever sends it back is believed.
Json thinking_block(std::string thinking) {
  return {{"type", "thinking"}, {"thinking", std::move(thinking)}, {"signature", ""}};
}

Json tool_use_block(const std::string& name, Json input) {
  return {{"type", "tool_use"}, {"id", make_call_id("toolu_")}, {"name", name}, {"input", std::move(input)}};
}

}  // namespace

Json MessageReply::usage_json() const {
  const Usage numbers = usage();
  return {{"input_tokens", numbers.prompt_tokens - numbers.cached_tokens},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", numbers.cached_tokens},
          {"output_tokens", numbers.completion_tokens},
          {"output_tokens_details", Json::object({{"thinking_tokens", numbers.reasoning_tokens}})}};
}

Json MessageReply::message(Json content) const {
  return {{"id", id_},
          {"type", "message"},
          {"role", "assistant"},
          {"model", model().id},
          {"content", std::move(content)},
          {"stop_reason", nullptr},
          {"stop_sequence", nullptr},
          {"usage", usage_json()}};
}

Json MessageReply::stop_reason() const {
  const Sample& sample = choices()[0].sample;
  const std::string& reason = sample.finish_reason();
  if (reason == "stop") return stop_sequence().is_null() ? "end_turn" : "stop_sequence";
  if (reason == "tool_calls") return "tool_use";
  if (reason == "length")
    return sample.num_tokens() < *request_.max_tokens ? "model_context_window_exceeded" : "max_tokens";
  return "pause_turn";  // the server ends; the client may send the turn back and have it gone on with
}

Json MessageReply::stop_sequence() const {
  const Sample& sample = choices()[0].sample;
  return sample.stop_reason().is_string() && !sample.is_repetition() ? sample.stop_reason() : Json();
}

Delta MessageReply::take_delta() {
  Delta delta = choices()[0].sample.take_delta();
  if (!request_.include_reasoning) delta.reasoning.clear();
  return delta;
}

Json MessageReply::whole() {
  Delta delta = take_delta();
  Json content = Json::array();
  if (!delta.reasoning.empty())
    content.push_back(thinking_block(request_.omits_thinking ? "" : std::move(delta.reasoning)));
  for (const ToolPiece& piece : delta.pieces()) {
    if (const auto* text = std::get_if<std::string>(&piece)) {
      content.push_back(text_block(*text));
      continue;
    }
    const auto& call = std::get<ToolCallPart>(piece);
    content.push_back(tool_use_block(call.name, Json::parse(call.arguments)));
  }
  Json json = message(std::move(content));
  json["stop_reason"] = stop_reason();
  json["stop_sequence"] = stop_sequence();
  return json;
}

void MessageReply::open(Block block, std::string& events) {
  if (open_ == block) return;
  start(block, block == Block::kText ? text_block("") : thinking_block(""), events);
}

void MessageReply::start(Block block, Json json, std::string& events) {
  if (open_ != Block::kNone)
    events += sse_event("content_block_stop", {{"type", "content_block_stop"}, {"index", num_blocks_ - 1}});
  open_ = block;
  if (block == Block::kNone) return;
  events += sse_event("content_block_start",
                      {{"type", "content_block_start"}, {"index", num_blocks_++}, {"content_block", std::move(json)}});
}

void MessageReply::add_call(const ToolCallPart& call, std::string& events) {
  if (!call.name.empty()) start(Block::kToolUse, tool_use_block(call.name, Json::object()), events);
  if (call.arguments.empty()) return;
  add_delta({{"type", "input_json_delta"}, {"partial_json", call.arguments}}, events);
}

void MessageReply::add_delta(Json delta, std::string& events) const {
  events += sse_event("content_block_delta",
                      {{"type", "content_block_delta"}, {"index", num_blocks_ - 1}, {"delta", std::move(delta)}});
}

void MessageReply::add_new(std::string& events) {
  if (!has_begun_)
    events += sse_event("message_start", {{"type", "message_start"}, {"message", message(Json::array())}});
  has_begun_ = true;
  Delta delta = take_delta();
  if (!delta.reasoning.empty()) {
    open(Block::kThinking, events);
    if (!request_.omits_thinking)
      add_delta({{"type", "thinking_delta"}, {"thinking", std::move(delta.reasoning)}}, events);
  }
  for (const ToolPiece& piece : delta.pieces()) {
    if (const auto* call = std::get_if<ToolCallPart>(&piece)) {
      add_call(*call, events);
      continue;
    }
    open(Block::kText, events);
    add_delta({{"type", "text_delta"}, {"text", std::get<std::string>(piece)}}, events);
  }
}

std::string MessageReply::chunks() {
  const Sample& sample = choices()[0].sample;
  const bool may_wait = has_begun_ && !is_cut_off() && !sample.is_finished();
  if (may_wait && !sample.delta().is_due(request_.stream_interval)) return {};
  std::string events;
  add_new(events);
  return events;
}

std::string MessageReply::last_chunks() {
  std::string events;
  add_new(events);
  open(Block::kNone, events);
  events += sse_event("message_delta", {{"type", "message_delta"},
                                        {"delta", {{"stop_reason", stop_reason()}, {"stop_sequence", stop_sequence()}}},
                                        {"usage", usage_json()}});
  return events += sse_event("message_stop", Json::object({{"type", "message_stop"}}));
}

Json MessageReply::error(const ApiError& error) const { return error_body(error); }

std::string MessageReply::error_chunks(const ApiError& error) const { return sse_event("error", error_body(error)); }

}  // namespace retort::anthropic
