// What conversations are changed to before they are rendered, as the operator asks: habits of R1 models.
#pragma once

#include "server/served_model.h"

namespace retort::openai {

// `messages`: in the shape of ChatRequest::messages.
void apply_habits(const PromptHabits& habits, Json& messages);

}  // namespace retort::openai
