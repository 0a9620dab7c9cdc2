// tools, tool_choice, output_config in the shape of Anthropic's messages.
#pragma once

#include <vector>

#include "server/anthropic/request.h"

namespace retort::anthropic {

const std::vector<Field<Request>>& tool_fields();

}  // namespace retort::anthropic
