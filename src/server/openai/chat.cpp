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
      : Answer(model, request, std::move(head), job), chat_(request) {}

  Json whole() override {
    Json json = Answer::whole();
    add_prompt_details(0, json);
    return json;
  }

 protected:
  Json first_chunk_body() override {
    return {{"delta", {{"role", "assistant"}, {"content", ""}}}, {"logprobs", nullptr}, {"finish_reason", nullptr}};
  }

  Json chunk_body(Choice&, const Delta& delta) override {
    Json fields = Json::object();
    add_reasoning(delta, fields);
    if (!delta.content.empty()) fields["content"] = delta.content;
    Json body = {{"delta", std::move(fields)}, {"logprobs", logprobs(delta)}, {"finish_reason", nullptr}};
    if (chat_.return_token_ids) body["token_ids"] = token_ids(delta.tokens);
    return body;
  }

  Json whole_body(Choice&, const Delta& delta) override {
    Json message = {{"role", "assistant"}, {"content", delta.content}, {"refusal", nullptr}};
    add_reasoning(delta, message);
    return {{"message", std::move(message)}, {"logprobs", logprobs(delta)}};
  }

 private:
  // Both names are in use: `reasoning` is vLLM's, `reasoning_content` DeepSeek's.
  void add_reasoning(const Delta& delta, Json& fields) const {
    if (delta.reasoning.empty() || !chat_.include_reasoning) return;
    fields["reasoning"] = delta.reasoning;
    fields["reasoning_content"] = delta.reasoning;
  }

  Json logprobs(const Delta& delta) const { return chat_.logprobs ? chat_logprobs(tokenizer(), delta.tokens) : Json(); }

  const ChatRequest& chat_;
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
