// What an answer must look like: response_format (OpenAI's), structured_outputs and the older guided_* (vLLM's).
#pragma once

#include <vector>

#include "server/openai/generate_request.h"

namespace retort::openai {

Field<GenerateRequest> response_format_field();
const std::vector<Field<GenerateRequest>>& structured_output_fields();  // vLLM's

// {"type": "text" | "json_object" | "json_schema", …}
ApiStatus read_response_format(const Json& value, GenerateRequest& request);
Json schema_of_schemas();  // an object, true, or the text of one
// `schema`: an object, a boolean, or the text of one. 400 when there is another grammar already.
ApiStatus set_json_schema(const Json& schema, std::string_view field, GenerateRequest& request);

}  // namespace retort::openai
