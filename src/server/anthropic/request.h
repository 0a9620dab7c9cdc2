// The bodies of POST /v1/messages and /v1/messages/count_tokens, read into the chat request that the house works with.
#pragma once

#include "server/openai/chat_request.h"

namespace retort::anthropic {

struct Request : openai::ChatRequest {
  Json system;                  // a string or text blocks; null: none
  Json conversation;            // as sent; `messages` is made of it and of `system`
  bool omits_thinking = false;  // thinking blocks are sent empty
  std::optional<bool> enables_thinking = {};
};

const FieldTable<Request>& messages_table();
const FieldTable<Request>& count_table();

Json content_schema();  // a string or a list of blocks
Json message_schema();

ApiResult<Request> parse_messages(const Json& body);
ApiResult<Request> parse_count(const Json& body);

// Anthropic's conversation → messages as chat templates know them: blocks of text are joined, thinking is the
// assistant's reasoning, uses of tools its tool calls, and their results messages of the role tool.
ApiResult<Json> to_chat_messages(const Json& system, const Json& conversation);

}  // namespace retort::anthropic
