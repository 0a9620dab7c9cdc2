// POST /v1/responses and /v1/responses/input_tokens; GET and DELETE /v1/responses/{id}; POST /v1/responses/{id}/cancel.
#include "server/fields/field_table.h"
#include "server/fields/query_input.h"
#include "server/openai/jobs.h"
#include "server/prepare.h"
#include "server/responses/endpoints.h"
#include "server/responses/response_reply.h"

namespace retort::responses {
namespace {

// A request with the messages that are made of it.
struct Asked {
  Request request;
  Json conversation;
};

struct Prepared : Asked {
  Job job;
};

tl::unexpected<ApiError> not_found(std::string_view id, std::string param = {}) {
  return refuse(404, fmt::format("there is no response '{}': it was never stored, or is one no longer", id),
                std::move(param), "response_not_found");
}

std::string name_of(const http::Exchange& exchange, std::string_view id) {
  return ResponseStore::name_of(exchange.request().key, id);
}

// What was said before and is said now.
ApiResult<Json> conversation_of(const Request& request, std::optional<size_t> key, const ResponseStore& store) {
  if (request.previous_response_id.empty()) return to_chat_messages(request.input);
  std::optional<Json> conversation = store.conversation(ResponseStore::name_of(key, request.previous_response_id));
  if (!conversation) return not_found(request.previous_response_id, "previous_response_id");
  RETORT_API_ASSIGN(const Json input, to_chat_messages(request.input, *conversation));
  conversation->insert(conversation->end(), input.begin(), input.end());
  return std::move(*conversation);
}

ApiResult<Asked> read_request(const ServedModel& model, const Json& body, std::optional<size_t> key,
                              const ResponseStore& store) {
  RETORT_API_ASSIGN(Request request, parse_request(body));
  RETORT_API_TRY(check_model_name(model, request.model));
  RETORT_API_ASSIGN(Json conversation, conversation_of(request, key, store));
  Json messages = conversation;
  if (!request.instructions.empty())
    messages.insert(messages.begin(), Json{{"role", "system"}, {"content", request.instructions}});
  RETORT_API_ASSIGN(request.messages, openai::normalise_messages(messages));
  return Asked{std::move(request), std::move(conversation)};
}

ApiResult<Prepared> prepare(const ServedModel& model, const Json& body, std::optional<size_t> key,
                            const ResponseStore& store) {
  RETORT_API_ASSIGN(Asked asked, read_request(model, body, key, store));
  RETORT_API_ASSIGN(Job job, chat_job(model, asked.request));
  return Prepared{std::move(asked), std::move(job)};
}

// Also of what is too long to be answered: that is what counting is for.
ApiResult<http::Response> answer_count(const ServedModel& model, const Json& body, std::optional<size_t> key,
                                       const ResponseStore& store) {
  RETORT_API_ASSIGN(const Asked asked, read_request(model, body, key, store));
  RETORT_API_ASSIGN(openai::ChatPrompt prompt, chat_prompt(model, asked.request));
  if (asked.request.truncate_prompt_tokens) RETORT_API_TRY(fit_prompt(model, asked.request, prompt.tokens));
  return http::json_response({{"object", "response.input_tokens"}, {"input_tokens", prompt.tokens.size()}});
}

boost::asio::awaitable<void> respond(http::Exchange& exchange, ApiResult<Json> result) {
  http::Response response = result ? http::json_response(*result) : http::error_response(result.error());
  co_await exchange.respond(std::move(response));
}

boost::asio::awaitable<void> create(ApiContext& api, http::Exchange& exchange, ResponseStore& store) {
  const ApiResult<const ServedModel*> model = api.working_model();
  auto with_store = [&store, key = exchange.request().key](const ServedModel& served, const Json& body) {
    return prepare(served, body, key, store);
  };
  std::optional<Prepared> prepared = co_await prepare_request(api, exchange, model, std::move(with_store));
  if (!prepared) co_return;
  const std::string& asked_id = prepared->request.request_id;
  std::string id = "resp_" + (asked_id.empty() ? http::make_request_id() : asked_id);
  std::string name = name_of(exchange, id);
  if (store.knows(name)) {
    co_await respond(exchange,
                     refuse(400, fmt::format("request_id: there is a response '{}' already", id), "request_id"));
    co_return;
  }
  ResponseReply reply(**model, prepared->job, prepared->request, std::move(id), std::move(name),
                      std::move(prepared->conversation), store);
  co_await run_job(api, exchange, prepared->request.stream, std::move(prepared->job), reply);
}

boost::asio::awaitable<void> count_input_tokens(ApiContext& api, http::Exchange& exchange, const ResponseStore& store) {
  auto with_store = [&store, key = exchange.request().key](const ServedModel& served, const Json& body) {
    return answer_count(served, body, key, store);
  };
  const ApiResult<const ServedModel*> model = api.loaded_model();
  std::optional<http::Response> response = co_await prepare_request(api, exchange, model, std::move(with_store));
  if (response) co_await exchange.respond(std::move(*response));
}

ApiResult<Json> fetch(const http::Exchange& exchange, const ResponseStore& store) {
  std::optional<Json> response = store.response(name_of(exchange, exchange.rest_of_path()));
  if (!response) return not_found(exchange.rest_of_path());
  return std::move(*response);
}

ApiResult<Json> remove(const http::Exchange& exchange, ResponseStore& store) {
  RETORT_API_TRY(fetch(exchange, store));
  store.remove(name_of(exchange, exchange.rest_of_path()));
  return Json{{"id", exchange.rest_of_path()}, {"object", "response.deleted"}, {"deleted", true}};
}

// Of one that runs: it ends soon, and the answer shows it as it will be. One that has ended stays as it is.
ApiResult<Json> cancel(const http::Exchange& exchange, const ResponseStore& store) {
  RETORT_API_ASSIGN(Json response, fetch(exchange, store));
  if (store.cancel(name_of(exchange, exchange.rest_of_path()))) response["status"] = "cancelled";
  return response;
}

// A conversation is kept as messages, which do not tell what items they were made of.
tl::unexpected<ApiError> no_input_items() {
  return refuse(404, "input items are not kept; previous_response_id goes on with what a response was asked", {},
                "input_items_not_kept");
}

// What may be asked of a stored response besides: nothing that is not so anyhow.
struct Retrieval {};

const FieldTable<Retrieval>& retrieval_table() {
  static const FieldTable<Retrieval> table({
      refused_field<Retrieval>("stream", {false}, "not supported"),
      refused_field<Retrieval>("starting_after", {}, "not supported"),
      refused_field<Retrieval>("include", {}, "not supported"),
      refused_field<Retrieval>("include[]", {}, "not supported"),
      ignored_field<Retrieval>("include_obfuscation", "Events are never padded."),
      ignored_field<Retrieval>("api-version", "That of Azure's client."),
  });
  return table;
}

ApiResult<Json> retrieve(const http::Exchange& exchange, const ResponseStore& store) {
  RETORT_API_ASSIGN(const Json query, json_of_query(exchange.request().query, retrieval_table().schema()));
  Retrieval nothing;
  RETORT_API_TRY(retrieval_table().apply(query, nothing));
  return fetch(exchange, store);
}

}  // namespace

void add_routes(http::Router& router, ApiContext& api) {
  const auto store = std::make_shared<ResponseStore>();
  router.add({.method = "POST",
              .path = "/v1/responses",
              .handler = [&api, store](http::Exchange& exchange) { return create(api, exchange, *store); },
              .ignored_query = {"beta", "api-version"}});
  router.add({.method = "POST",
              .path = "/v1/responses/input_tokens",
              .handler = [&api, store](http::Exchange& exchange) { return count_input_tokens(api, exchange, *store); },
              .ignored_query = {"beta", "api-version"}});
  router.add({.method = "GET",
              .path = "/v1/responses/*",
              .handler = [store](http::Exchange& exchange) { return respond(exchange, retrieve(exchange, *store)); },
              .takes_query = true});
  router.add({.method = "GET",
              .path = "/v1/responses/*/input_items",
              .handler = [](http::Exchange& exchange) { return respond(exchange, no_input_items()); },
              .takes_query = true});
  router.add({.method = "DELETE",
              .path = "/v1/responses/*",
              .handler = [store](http::Exchange& exchange) { return respond(exchange, remove(exchange, *store)); },
              .ignored_query = {"api-version"}});
  router.add({.method = "POST",
              .path = "/v1/responses/*/cancel",
              .handler = [store](http::Exchange& exchange) { return respond(exchange, cancel(exchange, *store)); },
              .without_body = true,
              .ignored_query = {"api-version"}});
}

}  // namespace retort::responses
