// The answer to POST /v1/messages: a message of blocks, whole or as events. I/O thread.
#pragma once

#include <string>

#include "server/anthropic/request.h"
#include "server/reply.h"

namespace retort::anthropic {

class MessageReply : public Reply {
 public:
  MessageReply(const ServedModel& model, const Job& job, const Request& request, std::string id)
      : Reply(model, job), request_(request), id_(std::move(id)) {}

  Json whole() override;
  Json error(const ApiError& error) const override;
  std::string chunks() override;
  std::string last_chunks() override;
  std::string error_chunks(const ApiError& error) const override;

 private:
  enum class Block { kNone, kThinking, kText, kToolUse };

  Json message(Json content) const;  // without an end yet
  Json usage_json() const;
  Json stop_reason() const;
  Json stop_sequence() const;
  void add_new(std::string& events);            // of the sample's delta
  void open(Block block, std::string& events);  // closes another one first
  void start(Block block, Json json, std::string& events);
  void add_call(const ToolCallPart& call, std::string& events);
  void add_delta(Json delta, std::string& events) const;  // to the open block
  Delta take_delta();

  const Request& request_;
  std::string id_;
  Block open_ = Block::kNone;
  int num_blocks_ = 0;  // begun so far
  bool has_begun_ = false;
};

}  // namespace retort::anthropic
