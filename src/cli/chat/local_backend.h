// Answers from a model in this process: the server's own way from messages to tokens, without HTTP.
#pragma once

#include <memory>
#include <string>

#include "cli/chat/backend.h"
#include "engine/llm.h"

namespace retort {

struct LocalChatOptions {
  std::string name;
  bool force_thinking = false;
  ChatSampling sampling;
};
std::unique_ptr<ChatBackend> chat_with(std::unique_ptr<Llm> llm, const LocalChatOptions& options);

}  // namespace retort
