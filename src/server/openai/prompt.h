// Messages and strings → prompt tokens that fit the context. Runs on a text worker.
#pragma once

#include <vector>

#include "server/openai/generate_request.h"
#include "server/served_model.h"
#include "server/tools/tool_use.h"

namespace retort::openai {

struct ChatPrompt {
  std::vector<TokenId> tokens;
  bool starts_inside_reasoning = false;  // it ends within <think>
  bool may_open_reasoning = false;       // or the model may open it
};

// Tells the model of its tools, by the template or within the messages.
void offer_tools(const ServedModel& model, const ToolUse& use, ChatTemplateInput& input);

ApiResult<ChatPrompt> build_chat_prompt(const ServedModel& model, ChatTemplateInput input, bool add_special_tokens);

// Raw text may spell out control tokens: who writes it makes the whole prompt. 400 when it is over --max-prompt-chars.
ApiResult<std::vector<TokenId>> encode_raw_prompt(const ServedModel& model, std::string_view text,
                                                  bool add_special_tokens);

// Truncates as asked; 400 for a prompt that is empty, has ids beyond the vocabulary or leaves no room in the context.
ApiStatus fit_prompt(const ServedModel& model, const GenerateRequest& request, std::vector<TokenId>& tokens);

// The request's parameters, and for what it does not give the model's own or the reasoning models' defaults.
ApiResult<SamplingParams> sampling_params(const ServedModel& model, const GenerateRequest& request,
                                          size_t num_prompt_tokens);

}  // namespace retort::openai
