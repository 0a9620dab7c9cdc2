// POST /v1/chat/completions.
#include <ctime>

#include "server/openai/answer.h"
#include "server/openai/chat_request.h"
#include "server/openai/endpoints.h"
#include "server/openai/logprobs.h"
#include "server/openai/prompt.h"
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

// With echo the answer begins with the last message when that is the assistant's too.
std::string echo_of(const ChatRequest& request) {
  const Json& last = request.messages.back();
  return request.echo && last["role"] == "assistant" && last["content"].is_string() ? last["content"].get<std::string>()
                                                                                    : "";
}

// From the body to the engine's request. On a text worker.
ApiResult<Prepared> prepare(const ServedModel& model, const Json& body) {
  RETORT_API_ASSIGN(ChatRequest request, parse_chat_request(body));
  RETORT_API_TRY(check_model_name(model, request.model));

  ChatTemplateInput input{
      .messages = request.messages,
      .tools = {},
      .kwargs = request.chat_template_kwargs,
      .add_generation_prompt = request.add_generation_prompt.value_or(!request.continue_final_message),
      .continue_final_message = request.continue_final_message};
  RETORT_API_ASSIGN(ChatPrompt prompt,
                    build_chat_prompt(model, std::move(input), request.add_special_tokens.value_or(false)));
  RETORT_API_TRY(fit_prompt(model, request, prompt.tokens));
  RETORT_API_ASSIGN(SamplingParams params, sampling_params(model, request, prompt.tokens.size()));
  if (request.logprobs) params.logprobs = request.top_logprobs;

  Job job;
  job.sample_options.push_back({.stop = request.stop,
                                .stop_token_ids = request.stop_token_ids,
                                .include_stop = request.include_stop_str_in_output,
                                .skip_special_tokens = request.skip_special_tokens,
                                .splits_reasoning = true,
                                .starts_inside_reasoning = prompt.starts_inside_reasoning,
                                .keeps_tokens = request.logprobs || request.return_token_ids});
  job.echoes.push_back(echo_of(request));
  job.requests.push_back({.prompt = std::move(prompt.tokens),
                          .params = std::move(params),
                          .num_samples = request.n,
                          .priority = request.priority,
                          .deadline = {},
                          .cache_salt = request.cache_salt,
                          .on_event = {}});
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
  co_await run_job(api, exchange, request, std::move(prepared->job), answer);
}

}  // namespace retort::openai
