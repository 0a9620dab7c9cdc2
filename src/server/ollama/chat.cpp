// POST /api/chat and /api/generate.
#include "server/ollama/endpoints.h"
#include "server/ollama/request.h"
#include "server/openai/jobs.h"
#include "server/openai/logprobs.h"
#include "server/prepare.h"

namespace retort::ollama {
namespace {

enum class Kind { kChat, kGenerate };

// What both kinds carry: the text in its place.
Json message(Kind kind, const std::string& model, std::string content, std::string thinking) {
  Json json = {{"model", model}, {"created_at", timestamp(std::chrono::system_clock::now())}};
  Json chat = {{"role", "assistant"}};
  Json& text = kind == Kind::kChat ? chat : json;
  text[kind == Kind::kChat ? "content" : "response"] = std::move(content);
  if (!thinking.empty()) text["thinking"] = std::move(thinking);
  if (kind == Kind::kChat) json["message"] = std::move(chat);
  return json;
}

int64_t nanoseconds(Clock::duration duration) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count();
}

class OllamaReply : public Reply {
 public:
  OllamaReply(const ServedModel& model, const Job& job, const Request& request, Kind kind, Clock::time_point arrival)
      : Reply(model, job), request_(request), kind_(kind), arrival_(arrival), first_token_(arrival) {}

  ApiStatus take(const Generation::News& news) override {
    if (choices()[0].sample.num_tokens() == 0) first_token_ = Clock::now();
    return Reply::take(news);
  }

  Json whole() override {
    Json json = next_part();
    add_end(json);
    return json;
  }
  Json error(const ApiError& error) const override { return error_body(error); }

  std::string_view stream_type() const override { return "application/x-ndjson"; }
  std::string chunks() override {
    if (choices()[0].sample.delta().is_empty()) return {};
    Json json = next_part();
    json["done"] = false;
    return line(json);
  }
  std::string last_chunks() override {
    Json json = next_part();
    add_end(json);
    return line(json);
  }
  std::string error_chunks(const ApiError& error) const override { return line(error_body(error)); }

 private:
  static std::string line(const Json& json) { return dump_json(json) + "\n"; }

  // What is new.
  Json next_part() {
    Delta delta = choices()[0].sample.take_delta();
    if (!request_.include_reasoning) delta.reasoning.clear();
    Json json = message(kind_, model().id, std::move(delta.content), std::move(delta.reasoning));
    for (const Delta::Call& call : delta.calls)
      json["message"]["tool_calls"].push_back(
          {{"function", {{"name", call.part.name}, {"arguments", Json::parse(call.part.arguments)}}}});
    if (!delta.tokens.empty()) json["logprobs"] = openai::chat_logprobs(tokenizer(), delta.tokens)["content"];
    return json;
  }

  void add_end(Json& json) const {
    const Usage numbers = usage();
    const auto now = Clock::now();
    json["done"] = true;
    const std::string& reason = choices()[0].sample.finish_reason();
    json["done_reason"] = reason == "tool_calls" ? "stop" : reason;
    json["total_duration"] = nanoseconds(now - arrival_);
    json["load_duration"] = 0;
    json["prompt_eval_count"] = numbers.prompt_tokens;
    json["prompt_eval_duration"] = nanoseconds(first_token_ - arrival_);
    json["eval_count"] = numbers.completion_tokens;
    json["eval_duration"] = nanoseconds(now - first_token_);
  }

  const Request& request_;
  Kind kind_;
  Clock::time_point arrival_, first_token_;
};

struct Prepared {
  Request request;
  Job job;  // empty: nothing is asked
};

ApiResult<Job> job_of(const ServedModel& model, const Request& request) {
  const bool is_chat = !request.messages.empty() && model.chat_template != nullptr;
  if (is_chat || request.prompt.empty()) return chat_job(model, request);
  openai::CompletionRequest completion;
  static_cast<openai::GenerateRequest&>(completion) = request;
  completion.prompts.emplace_back(request.prompt);
  if (request.logprobs) completion.logprobs = request.top_logprobs;
  return completion_job(model, completion);
}

template <ApiResult<Request> (*parse)(const Json&)>
ApiResult<Prepared> prepare(const ServedModel& model, const Json& body) {
  RETORT_API_ASSIGN(Request request, parse(body));
  if (request.model != model.id) RETORT_API_TRY(check_model_name(model, without_latest(request.model)));
  if (request.asks_for_nothing()) return Prepared{std::move(request), {}};
  RETORT_API_ASSIGN(Job job, job_of(model, request));
  return Prepared{std::move(request), std::move(job)};
}

boost::asio::awaitable<void> answer(ApiContext& api, http::Exchange& exchange, Kind kind) {
  const auto arrival = Clock::now();
  const ApiResult<const ServedModel*> model = api.working_model();
  const auto parse = kind == Kind::kChat ? prepare<parse_chat> : prepare<parse_generate>;
  std::optional<Prepared> prepared = co_await prepare_request(api, exchange, model, parse, error_body);
  if (!prepared) co_return;
  if (prepared->job.requests.empty()) {
    Json json = message(kind, (*model)->id, "", "");
    json["done"] = true;
    json["done_reason"] = "load";
    http::Response response = http::json_response(json);
    co_await exchange.respond(std::move(response));
    co_return;
  }
  OllamaReply reply(**model, prepared->job, prepared->request, kind, arrival);
  co_await run_job(api, exchange, prepared->request.stream, std::move(prepared->job), reply);
}

}  // namespace

boost::asio::awaitable<void> chat(ApiContext& api, http::Exchange& exchange) {
  return answer(api, exchange, Kind::kChat);
}

boost::asio::awaitable<void> generate(ApiContext& api, http::Exchange& exchange) {
  return answer(api, exchange, Kind::kGenerate);
}

}  // namespace retort::ollama
