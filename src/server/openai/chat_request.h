// The body of POST /v1/chat/completions.
#pragma once

#include <unordered_set>

#include "server/openai/generate_request.h"
#include "server/tools/tool_use.h"

namespace retort::openai {

struct ChatRequest : GenerateRequest {
  Json messages;  // checked, in the shape chat templates know: roles system, user, assistant, tool; content a string or
                  // null
  std::optional<int> max_completion_tokens;
  bool logprobs = false;
  int top_logprobs = 0;
  bool include_reasoning = true;
  std::optional<int> thinking_token_budget;  // none: as long as it likes
  bool needs_thinking = false;               // that bound was asked for by name, and is of use only where there is some
  std::string reasoning_effort;
  std::optional<bool> add_generation_prompt;
  bool continue_final_message = false;
  Json chat_template_kwargs = Json::object();
  std::string chat_template;  // empty: the model's
  ToolUse tool_use;
  bool takes_parts_of_calls = true;  // a stream of the API that was asked may show a call while it is written
};

const FieldTable<ChatRequest>& chat_table();
ApiResult<ChatRequest> parse_chat_request(const Json& body);

// Turns the effort, where one is given, into a budget of thinking, unless there is one already. Templates that know of
// effort are told as well.
void apply_reasoning_effort(ChatRequest& request);
ApiStatus read_reasoning_effort(const Json& value, ChatRequest& request);

Field<ChatRequest> thinking_token_budget_field();
Field<ChatRequest> template_kwargs_field();

Json message_schema();
Json effort_schema();
// chat_template_kwargs: variables that are no fields of their own.
Json template_kwargs_schema();

// The calls of tools that a conversation holds so far: a result must be that of one of them.
class CallIds {
 public:
  void add(std::string id) { ids_.insert(std::move(id)); }
  void add_of(const Json& message);  // as templates know it
  // 400 for the result of a call that never was. `path` names the id.
  ApiStatus check(const std::string& id, const std::string& path) const;

 private:
  std::unordered_set<std::string> ids_;
  bool has_nameless_ = false;  // a call without an id, which any may mean
};

// Checks messages and brings them into the one shape that templates know: text parts are joined, developer becomes
// system. `calls`: of what was said before them.
ApiResult<Json> normalise_messages(const Json& messages, CallIds calls = {});

}  // namespace retort::openai
