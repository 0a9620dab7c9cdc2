// Retort's own request field `consensus`: true, or {"enabled", "n", "extract"}.
#pragma once

#include <vector>

#include "server/openai/generate_request.h"

namespace retort::openai {

const std::vector<Field<GenerateRequest>>& consensus_fields();

// 400 for what contradicts it: `n`, `echo`, temperature 0.
ApiStatus check_consensus(const GenerateRequest& request);

// The kind asked for; else json where JSON is the answer's form, text where another form binds it, and boxed.
AnswerKind answer_kind(const GenerateRequest& request);

}  // namespace retort::openai
