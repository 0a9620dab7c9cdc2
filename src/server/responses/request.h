// The body of POST /v1/responses, read into the chat request that the house works with.
#pragma once

#include "server/openai/chat_request.h"

namespace retort::responses {

struct Request : openai::ChatRequest {
  Json input;  // as sent
  std::string instructions, previous_response_id;
  bool store = true;
  Json metadata = Json::object();
  Json tool_choice = "auto";              // as sent
  Json text_format = {{"type", "text"}};  // as sent
};

const FieldTable<Request>& request_table();
Json item_schema();  // of a list as input
ApiResult<Request> parse_request(const Json& body);

// Input (a string or a list of items) → messages as chat templates know them: reasoning goes with the assistant's
// message that follows it, calls of functions are its tool calls, their outputs messages of the role tool. `before`:
// the messages that it goes on with, whose calls may have their outputs in it.
ApiResult<Json> to_chat_messages(const Json& input, const Json& before = Json::array());

}  // namespace retort::responses
