// From a request that has been read to what the engine is asked. Runs on a text worker. The other APIs say what they
// were asked as one of these requests and come by the same way.
#pragma once

#include "server/openai/chat_request.h"
#include "server/openai/completion_request.h"
#include "server/openai/prompt.h"
#include "server/reply.h"

namespace retort::openai {

ApiResult<ChatPrompt> chat_prompt(const ServedModel& model, const ChatRequest& request);

// 400: the template refuses the conversation, the prompt does not fit the context, token ids out of range.
ApiResult<Job> chat_job(const ServedModel& model, const ChatRequest& request);
ApiResult<Job> completion_job(const ServedModel& model, const CompletionRequest& request);

}  // namespace retort::openai
