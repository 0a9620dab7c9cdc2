// What the APIs know of the model they serve: parts of an Llm, or a test's own.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "engine/engine.h"
#include "model/config.h"
#include "server/control_tokens.h"
#include "text/chat_template.h"
#include "text/grammar.h"
#include "text/tokenizer.h"
#include "text/tools/tool_format.h"

namespace retort {

// Changes to conversations before they are rendered, off unless the operator asks.
struct PromptHabits {
  bool folds_system = false;     // the system message goes before the first user's
  bool adds_boxed_hint = false;  // each question asks for steps and an answer in \boxed{}
};

struct ServedModel {
  std::string id;       // what requests call it
  int64_t created = 0;  // Unix time
  const Tokenizer* tokenizer = nullptr;
  const ChatTemplate* chat_template = nullptr;  // null: no chats
  std::string chat_fault{};                     // then why: "has no chat template"
  Engine* engine = nullptr;
  ModelConfig config;
  int64_t max_model_len = 0;
  size_t weight_bytes = 0;
  std::string kv_cache_dtype = {};  // as --kv-cache-dtype spells it
  bool force_thinking = false;
  bool is_reasoning = false;                     // its answers begin with <think> … </think>
  ToolFormat tool_format = ToolFormat::kHermes;  // in which it calls tools
  bool spells_tools = true;  // the template knows no tools in that format: the messages themselves tell of them
  ControlTokens control_tokens;
  PromptHabits habits = {};
  bool trusts_request_templates = false;                         // requests may bring a chat_template
  size_t max_prompt_chars = std::numeric_limits<size_t>::max();  // of a prompt as text
  std::shared_ptr<const Grammars> grammars = {};                 // set when it is served
};

// A model is a reasoning one when its template speaks of </think>.
bool is_reasoning_model(const ChatTemplate* chat_template);

}  // namespace retort
