// POST /v1/embeddings.
#include <openssl/evp.h>

#include <bit>

#include "server/embedding.h"
#include "server/openai/embedding_request.h"
#include "server/openai/endpoints.h"
#include "server/openai/prompt.h"
#include "server/prepare.h"

namespace retort::openai {
namespace {

using R = EmbeddingRequest;

// One of the names, or what was expected.
ApiResult<bool> is_second(const Json& value, std::string_view field, std::string_view first, std::string_view second) {
  if (value == first) return false;
  if (value == second) return true;
  return expected(field, fmt::format("\"{}\" or \"{}\"", first, second), value);
}

FieldTable<R> make_table() {
  return FieldTable<R>({
      {"input",
       described(prompts_schema(kMaxPrompts),
                 "A string, a list of strings, a list of token ids, or a list of such lists."),
       [](const Json& value, R& request) -> ApiStatus {
         RETORT_API_ASSIGN(request.inputs, read_prompts(value, "input"));
         return {};
       },
       true},
      string_field("model", &R::model, "The served model's name."),
      {"encoding_format",
       {{"enum", {"float", "base64"}},
        {"default", "float"},
        {"description", "base64: the bytes of float32, little-endian."}},
       [](const Json& value, R& request) -> ApiStatus {
         RETORT_API_ASSIGN(request.as_base64, is_second(value, "encoding_format", "float", "base64"));
         return {};
       }},
      int_field("dimensions", &R::dimensions, {1, kMaxInt}, nullptr,
                "The model's hidden size: it was not trained for shorter embeddings."),
      {"pooling",
       {{"enum", {"last", "mean"}},
        {"default", "last"},
        {"description", "Which of the last layer's states it is made of: the last token's, or the mean of all."}},
       [](const Json& value, R& request) -> ApiStatus {
         RETORT_API_ASSIGN(const bool is_mean, is_second(value, "pooling", "last", "mean"));
         request.pooling = is_mean ? Pooling::kMean : Pooling::kLast;
         return {};
       }},
      bool_field("add_special_tokens", &R::add_special_tokens, true, "Add BOS and EOS as the tokenizer wants them."),
      int_field("truncate_prompt_tokens", &R::truncate_prompt_tokens, {-1, kMaxInt}, nullptr,
                "Keep only the last tokens of each input; -1: as many as the context holds."),
      int_field("priority", &R::priority, {-kMaxInt, kMaxInt}, 0, "Lower is sooner."),
      cache_salt_field(),
      ignored_field<R>("request_id", "The answer has no id."),
      ignored_field<R>("user", "For the caller's own records."),
  });
}

// [num_values] → base64 of their little-endian bytes.
std::string base64(const std::vector<float>& values) {
  static_assert(std::endian::native == std::endian::little);
  const auto* bytes = reinterpret_cast<const unsigned char*>(values.data());
  const size_t size = values.size() * sizeof(float);
  std::string text(4 * ((size + 2) / 3) + 1, '\0');
  text.resize(static_cast<size_t>(
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes, static_cast<int>(size))));
  return text;
}

class OpenAiEmbeddingReply : public EmbeddingReply {
 public:
  OpenAiEmbeddingReply(const ServedModel& model, const Job& job, bool as_base64)
      : EmbeddingReply(model, job), as_base64_(as_base64) {}

  Json whole() override {
    Json data = Json::array();
    for (const std::vector<float>& embedding : embeddings())
      data.push_back({{"object", "embedding"},
                      {"index", data.size()},
                      {"embedding", as_base64_ ? Json(base64(embedding)) : Json(embedding)}});
    const int64_t tokens = usage().prompt_tokens;
    return {{"object", "list"},
            {"data", std::move(data)},
            {"model", model().id},
            {"usage", {{"prompt_tokens", tokens}, {"total_tokens", tokens}}}};
  }

 private:
  bool as_base64_;
};

struct Prepared {
  bool as_base64;
  Job job;
};

ApiResult<std::vector<TokenId>> input_tokens(const ServedModel& model, const R& request, size_t i) {
  std::vector<TokenId> tokens;
  if (const auto* text = std::get_if<std::string>(&request.inputs[i])) {
    RETORT_API_ASSIGN(tokens, encode_raw_prompt(model, *text, request.add_special_tokens.value_or(true)));
  } else {
    tokens = std::get<std::vector<TokenId>>(request.inputs[i]);
  }
  RETORT_API_TRY(fit_prompt(model, request, tokens));
  return tokens;
}

// And no list of them.
bool is_one_prompt(const Json& input) { return input.is_string() || input[0].is_number(); }

ApiResult<Prepared> prepare(const ServedModel& model, const Json& body) {
  RETORT_API_ASSIGN(const R request, parse_embedding_request(body));
  RETORT_API_TRY(check_model_name(model, request.model));
  if (request.dimensions && *request.dimensions != model.config.hidden_size)
    return expected(
        "dimensions",
        fmt::format("{}, the hidden size (the model was not trained for shorter embeddings)", model.config.hidden_size),
        *request.dimensions);
  std::vector<std::vector<TokenId>> prompts;
  for (size_t i = 0; i < request.inputs.size(); ++i) {
    auto tokens = input_tokens(model, request, i);
    if (!tokens) {
      tokens.error().param = is_one_prompt(body["input"]) ? "input" : fmt::format("input[{}]", i);
      tokens.error().message.insert(0, tokens.error().param + ": ");
      return tl::unexpected<ApiError>(std::move(tokens).error());
    }
    prompts.push_back(std::move(*tokens));
  }
  Job job = embedding_job(std::move(prompts), request.pooling);
  for (EngineRequest& asked : job.requests) {
    asked.priority = request.priority;
    asked.cache_salt = request.cache_salt;
  }
  return Prepared{request.as_base64, std::move(job)};
}

}  // namespace

const FieldTable<R>& embedding_table() {
  static const FieldTable<R> table = make_table();
  return table;
}

ApiResult<R> parse_embedding_request(const Json& body) {
  R request;
  RETORT_API_TRY(embedding_table().apply(body, request));
  return request;
}

boost::asio::awaitable<void> embeddings(ApiContext& api, http::Exchange& exchange) {
  const ApiResult<const ServedModel*> model = api.working_model();
  std::optional<Prepared> prepared = co_await prepare_request(api, exchange, model, prepare);
  if (!prepared) co_return;
  OpenAiEmbeddingReply reply(**model, prepared->job, prepared->as_base64);
  co_await run_job(api, exchange, false, std::move(prepared->job), reply);
}

}  // namespace retort::openai
