// POST /api/embed, and /api/embeddings as it was called before.
#include "server/embedding.h"
#include "server/ollama/endpoints.h"
#include "server/ollama/request.h"
#include "server/openai/prompt.h"
#include "server/prepare.h"

namespace retort::ollama {
namespace {

struct EmbedRequest {
  std::string model;
  std::vector<std::string> inputs;
  bool truncate = true;
};

using R = EmbedRequest;

std::vector<Field<R>> common_fields() {
  Field<R> model = string_field("model", &R::model, "The served model's name; a tag ':latest' may follow it.");
  model.required = true;
  return {
      std::move(model),
      ignored_field<R>("options", "They choose how the model is loaded and how it samples."),
      ignored_field<R>("keep_alive", "The model stays loaded."),
  };
}

const FieldTable<R>& embed_table() {
  constexpr size_t kMaxInputs = 1024;
  const auto read_input = [](const Json& value, R& request) -> ApiStatus {
    if (value.is_string()) {
      request.inputs = {value.get<std::string>()};
      return {};
    }
    if (!value.is_array()) return expected("input", "a string or a list of strings", value);
    RETORT_API_ASSIGN(request.inputs, read_strings(value, "input", kMaxInputs));
    return {};
  };
  static const FieldTable<R> table =
      FieldTable<R>({{"input",
                      described(any_of({text_schema(), list_schema(text_schema(), 0, kMaxInputs)}),
                                "A string or a list of strings."),
                      read_input, true},
                     bool_field("truncate", &R::truncate, true, "Cut what the context does not hold."),
                     refused_field<R>("dimensions", {}, "the model was not trained for shorter embeddings")})
          .with(common_fields());
  return table;
}

const FieldTable<R>& old_table() {
  static const FieldTable<R> table =
      FieldTable<R>({{"prompt",
                      {{"type", "string"}, {"description", "The text."}},
                      [](const Json& value, R& request) -> ApiStatus {
                        request.inputs.resize(1);
                        RETORT_API_ASSIGN(request.inputs[0], read_string(value, "prompt"));
                        return {};
                      },
                      true}})
          .with(common_fields());
  return table;
}

template <const FieldTable<R>& (*table)()>
ApiResult<Job> prepare(const ServedModel& model, const Json& body) {
  R request;
  RETORT_API_TRY(table().apply(body, request));
  if (request.model != model.id) RETORT_API_TRY(check_model_name(model, without_latest(request.model)));
  std::vector<std::vector<TokenId>> prompts;
  for (const std::string& input : request.inputs) {
    RETORT_API_ASSIGN(std::vector<TokenId> tokens, openai::encode_raw_prompt(model, input, true));
    const auto room = static_cast<size_t>(model.max_model_len - 1);
    if (request.truncate && tokens.size() > room) tokens.resize(room);
    RETORT_API_TRY(openai::fit_prompt(model, {}, tokens));
    prompts.push_back(std::move(tokens));
  }
  return embedding_job(std::move(prompts), Pooling::kLast);
}

class EmbedReply : public EmbeddingReply {
 public:
  EmbedReply(const ServedModel& model, const Job& job, Clock::time_point arrival)
      : EmbeddingReply(model, job), arrival_(arrival) {}

  Json whole() override {
    return {{"model", model().id},
            {"embeddings", embeddings()},
            {"total_duration", std::chrono::nanoseconds(Clock::now() - arrival_).count()},
            {"load_duration", 0},
            {"prompt_eval_count", usage().prompt_tokens}};
  }
  Json error(const ApiError& error) const override { return error_body(error); }

 private:
  Clock::time_point arrival_;
};

class OldReply : public EmbeddingReply {
 public:
  using EmbeddingReply::EmbeddingReply;
  Json whole() override { return Json::object({{"embedding", embeddings()[0]}}); }
  Json error(const ApiError& error) const override { return error_body(error); }
};

}  // namespace

boost::asio::awaitable<void> embed(ApiContext& api, http::Exchange& exchange) {
  const auto arrival = Clock::now();
  const ApiResult<const ServedModel*> model = api.working_model();
  std::optional<Job> job = co_await prepare_request(api, exchange, model, prepare<embed_table>, error_body);
  if (!job) co_return;
  EmbedReply reply(**model, *job, arrival);
  co_await run_job(api, exchange, false, std::move(*job), reply);
}

boost::asio::awaitable<void> embeddings(ApiContext& api, http::Exchange& exchange) {
  const ApiResult<const ServedModel*> model = api.working_model();
  std::optional<Job> job = co_await prepare_request(api, exchange, model, prepare<old_table>, error_body);
  if (!job) co_return;
  OldReply reply(**model, *job);
  co_await run_job(api, exchange, false, std::move(*job), reply);
}

Json embed_schema() { return embed_table().schema(); }
Json embeddings_schema() { return old_table().schema(); }

}  // namespace retort::ollama
