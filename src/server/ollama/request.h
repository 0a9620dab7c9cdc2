// The bodies of POST /api/chat and /api/generate, read into the chat request that the house works with.
#pragma once

#include "server/openai/chat_request.h"

namespace retort::ollama {

struct Request : openai::ChatRequest {
  Request() {
    stream = true;                 // Ollama's default
    takes_parts_of_calls = false;  // arguments are an object
  }

  // Of /api/generate: the messages are made of these.
  std::string prompt, system;
  bool raw = false;  // the prompt is the whole text, without a chat template

  // Neither messages nor a prompt: Ollama loads the model and says so; here it is loaded already.
  bool asks_for_nothing() const { return messages.empty() && prompt.empty(); }
};

const FieldTable<Request>& chat_table();
const FieldTable<Request>& generate_table();

ApiResult<Request> parse_chat(const Json& body);
ApiResult<Request> parse_generate(const Json& body);

// Ollama's clients may add a tag to the name: "model:latest".
std::string without_latest(std::string name);

}  // namespace retort::ollama
