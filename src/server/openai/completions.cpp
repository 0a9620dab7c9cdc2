// POST /v1/completions.
#include <ctime>

#include "server/openai/answer.h"
#include "server/openai/endpoints.h"
#include "server/openai/jobs.h"
#include "server/openai/logprobs.h"
#include "server/prepare.h"

namespace retort::openai {
namespace {

class CompletionAnswer : public Answer {
 public:
  CompletionAnswer(const ServedModel& model, const CompletionRequest& request, AnswerHead head, const Job& job)
      : Answer(model, request, std::move(head), job), completion_(request), offsets_(choices().size()) {}

 protected:
  std::vector<Json> chunk_bodies(Choice& choice, const Delta& delta) override {
    Json body = {{"text", delta.content}, {"logprobs", logprobs(choice, delta)}, {"finish_reason", nullptr}};
    if (completion_.return_token_ids) body["token_ids"] = token_ids(delta.tokens);
    return {std::move(body)};
  }

  Json whole_body(Choice& choice, const Delta& delta) override {
    Json body = {{"text", delta.content}, {"logprobs", logprobs(choice, delta)}};
    add_prompt_details(choice.prompt_idx, body);
    return body;
  }

 private:
  Json logprobs(Choice& choice, const Delta& delta) {
    if (!completion_.logprobs) return {};
    std::vector<CompletionLogprob> entries;
    if (completion_.echo && !choice.has_begun)
      entries = of_prompt(prompts()[choice.prompt_idx].tokens, prompts()[choice.prompt_idx].logprobs);
    const std::vector<CompletionLogprob> generated = of_generated(delta.tokens);
    entries.insert(entries.end(), generated.begin(), generated.end());
    return completion_logprobs(tokenizer(), entries, offsets_[index_of(choice)]);
  }

  const CompletionRequest& completion_;
  std::vector<int64_t> offsets_;  // of each choice: characters so far
};

struct Prepared {
  CompletionRequest request;
  Job job;
};

// From the body to the engine's requests. On a text worker.
ApiResult<Prepared> prepare(const ServedModel& model, const Json& body) {
  RETORT_API_ASSIGN(CompletionRequest request, parse_completion_request(body));
  RETORT_API_TRY(check_model_name(model, request.model));
  RETORT_API_ASSIGN(Job job, completion_job(model, request));
  return Prepared{std::move(request), std::move(job)};
}

}  // namespace

boost::asio::awaitable<void> completions(ApiContext& api, http::Exchange& exchange) {
  const ApiResult<const ServedModel*> model = api.working_model();
  std::optional<Prepared> prepared = co_await prepare_request(api, exchange, model, prepare);
  if (!prepared) co_return;
  const CompletionRequest& request = prepared->request;
  AnswerHead head{.id = "cmpl-" + (request.request_id.empty() ? exchange.request().id : request.request_id),
                  .object = "text_completion",
                  .chunk_object = "text_completion",
                  .model = (*model)->id,
                  .created = std::time(nullptr)};
  CompletionAnswer answer(**model, request, std::move(head), prepared->job);
  co_await run_job(api, exchange, request.stream, std::move(prepared->job), answer);
}

}  // namespace retort::openai
