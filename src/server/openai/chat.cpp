// POST /v1/chat/completions.
#include <ctime>

#include "server/openai/answer.h"
#include "server/openai/endpoints.h"
#include "server/openai/jobs.h"
#include "server/openai/logprobs.h"
#include "server/prepare.h"

namespace retort::openai {
namespace {

class ChatAnswer : public Answer {
 public:
  ChatAnswer(const ServedModel& model, const ChatRequest& request, AnswerHead head, const Job& job)
      : Answer(model, request, std::move(head), job), chat_(request), num_calls_(choices().size()) {}

  Json whole() override {
    Json json = Answer::whole();
    add_prompt_details(0, json);
    return json;
  }

 protected:
  Json first_chunk_body() override {
    return {{"delta", {{"role", "assistant"}, {"content", ""}}}, {"logprobs", nullptr}, {"finish_reason", nullptr}};
  }

  // A call takes at least two chunks, as the SDKs want it: what is called, then with what.
  std::vector<Json> chunk_bodies(Choice& choice, const Delta& delta) override {
    Json fields = Json::object();
    add_reasoning(delta, fields);
    if (!delta.content.empty()) fields["content"] = delta.content;
    Json body = {{"delta", std::move(fields)}, {"logprobs", logprobs(delta)}, {"finish_reason", nullptr}};
    if (chat_.return_token_ids) body["token_ids"] = token_ids(delta.tokens);
    std::vector<Json> bodies;
    bodies.push_back(std::move(body));
    int& num_calls = num_calls_[index_of(choice)];
    for (const Delta::Call& call : delta.calls) {
      if (!call.part.name.empty()) add_name(call.part, num_calls++, bodies);
      add_arguments(call.part, num_calls - 1, bodies);
    }
    // The reason to end comes after a call, not with it: OpenAI's Node package then takes the arguments for whole.
    if (choice.sample.is_finished() && bodies.back()["delta"].contains("tool_calls")) bodies.push_back(empty_body());
    return bodies;
  }

  Json whole_body(Choice&, const Delta& delta) override {
    Json message = {{"role", "assistant"}, {"content", delta.content}, {"refusal", nullptr}};
    add_reasoning(delta, message);
    if (!delta.calls.empty()) {
      if (delta.content.empty()) message["content"] = nullptr;
      for (const Delta::Call& call : delta.calls)
        message["tool_calls"].push_back(call_json(call.part.name, call.part.arguments));
    }
    return {{"message", std::move(message)}, {"logprobs", logprobs(delta)}};
  }

 private:
  // Both names are in use: `reasoning` is vLLM's, `reasoning_content` DeepSeek's.
  void add_reasoning(const Delta& delta, Json& fields) const {
    if (delta.reasoning.empty() || !chat_.include_reasoning) return;
    fields["reasoning"] = delta.reasoning;
    fields["reasoning_content"] = delta.reasoning;
  }

  static Json call_json(const std::string& name, const std::string& arguments) {
    return {{"id", make_call_id()}, {"type", "function"}, {"function", {{"name", name}, {"arguments", arguments}}}};
  }

  static Json empty_body() { return {{"delta", Json::object()}, {"logprobs", nullptr}, {"finish_reason", nullptr}}; }
  // The first of a call's parts fits into a body that says nothing yet.
  static void add_part(const Json& part, int index, std::vector<Json>& bodies) {
    Json call = {{"index", index}};
    call.update(part);
    if (!bodies.back()["delta"].empty()) bodies.push_back(empty_body());
    bodies.back()["delta"]["tool_calls"] = Json::array({std::move(call)});
  }
  static void add_name(const ToolCallPart& part, int index, std::vector<Json>& bodies) {
    add_part(call_json(part.name, ""), index, bodies);
  }
  static void add_arguments(const ToolCallPart& part, int index, std::vector<Json>& bodies) {
    if (part.arguments.empty()) return;
    add_part(Json::object({{"function", Json::object({{"arguments", part.arguments}})}}), index, bodies);
  }

  Json logprobs(const Delta& delta) const { return chat_.logprobs ? chat_logprobs(tokenizer(), delta.tokens) : Json(); }

  const ChatRequest& chat_;
  std::vector<int> num_calls_;  // of each choice, in chunks sent so far
};

struct Prepared {
  ChatRequest request;
  Job job;
};

// From the body to the engine's request. On a text worker.
ApiResult<Prepared> prepare(const ServedModel& model, const Json& body) {
  RETORT_API_ASSIGN(ChatRequest request, parse_chat_request(body));
  RETORT_API_TRY(check_model_name(model, request.model));
  RETORT_API_ASSIGN(Job job, chat_job(model, request));
  return Prepared{std::move(request), std::move(job)};
}

}  // namespace

boost::asio::awaitable<void> chat_completions(ApiContext& api, http::Exchange& exchange) {
  const ApiResult<const ServedModel*> model = api.working_model();
  std::optional<Prepared> prepared = co_await prepare_request(api, exchange, model, prepare);
  if (!prepared) co_return;
  const ChatRequest& request = prepared->request;
  AnswerHead head{.id = "chatcmpl-" + (request.request_id.empty() ? exchange.request().id : request.request_id),
                  .object = "chat.completion",
                  .chunk_object = "chat.completion.chunk",
                  .model = (*model)->id,
                  .created = std::time(nullptr)};
  ChatAnswer answer(**model, request, std::move(head), prepared->job);
  co_await run_job(api, exchange, request.stream, std::move(prepared->job), answer);
}

}  // namespace retort::openai
