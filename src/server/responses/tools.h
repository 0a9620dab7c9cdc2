// tools, tool_choice, parallel_tool_calls, reasoning and text in the shape of OpenAI's responses API.
#pragma once

#include <vector>

#include "server/responses/request.h"

namespace retort::responses {

const std::vector<Field<Request>>& form_fields();

}  // namespace retort::responses
