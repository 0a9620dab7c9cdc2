#include "server/openai/prompt_habits.h"

namespace retort::openai {
namespace {

// DeepSeek's own words for it.
constexpr const char* kBoxedHint = "Please reason step by step, and put your final answer within \\boxed{}.";

std::string text_of(const Json& message) {
  const Json content = message.value("content", Json());
  return content.is_string() ? content.get<std::string>() : "";
}

// R1 models were trained without system messages.
void fold_system(Json& messages) {
  if (messages.size() < 2 || messages[0]["role"] != "system" || messages[1]["role"] != "user") return;
  messages[1]["content"] = text_of(messages[0]) + "\n\n" + text_of(messages[1]);
  messages.erase(0);
}

// On every question, not on the last alone: what was said before must stay what it was, or the prefix cache is of no
// use.
void add_boxed_hint(Json& messages) {
  for (Json& message : messages) {
    const std::string text = text_of(message);
    if (message["role"] != "user" || text.find("\\boxed") != std::string::npos) continue;
    message["content"] = text + "\n" + kBoxedHint;
  }
}

}  // namespace

void apply_habits(const PromptHabits& habits, Json& messages) {
  if (habits.folds_system) fold_system(messages);
  if (habits.adds_boxed_hint) add_boxed_hint(messages);
}

}  // namespace retort::openai
