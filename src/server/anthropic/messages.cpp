// POST /v1/messages and /v1/messages/count_tokens.
#include "server/anthropic/endpoints.h"
#include "server/anthropic/message_reply.h"
#include "server/anthropic/request.h"
#include "server/openai/jobs.h"
#include "server/prepare.h"

namespace retort::anthropic {
namespace {

std::string_view type_of(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 408:
      return "timeout_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    default:
      return status >= 500 ? "api_error" : "invalid_request_error";
  }
}

struct Prepared {
  Request request;
  Job job;
};

ApiResult<Prepared> prepare(const ServedModel& model, const Json& body) {
  RETORT_API_ASSIGN(Request request, parse_messages(body));
  RETORT_API_TRY(check_model_name(model, request.model));
  RETORT_API_ASSIGN(Job job, chat_job(model, request));
  return Prepared{std::move(request), std::move(job)};
}

ApiResult<http::Response> answer_count(const ServedModel& model, const Json& body) {
  RETORT_API_ASSIGN(const Request request, parse_count(body));
  RETORT_API_TRY(check_model_name(model, request.model));
  RETORT_API_ASSIGN(const openai::ChatPrompt prompt, chat_prompt(model, request));
  return http::json_response(Json::object({{"input_tokens", prompt.tokens.size()}}));
}

}  // namespace

Json error_body(const ApiError& error) {
  Json shape = {{"type", type_of(error.status)}, {"message", error.message}};
  if (!error.code.empty()) shape["details"] = {{"error_code", error.code}};
  return {{"type", "error"}, {"error", std::move(shape)}};
}

boost::asio::awaitable<void> messages(ApiContext& api, http::Exchange& exchange) {
  const ApiResult<const ServedModel*> model = api.working_model();
  std::optional<Prepared> prepared = co_await prepare_request(api, exchange, model, prepare, error_body);
  if (!prepared) co_return;
  const std::string& asked_id = prepared->request.request_id;
  MessageReply reply(**model, prepared->job, prepared->request,
                     "msg_" + (asked_id.empty() ? exchange.request().id : asked_id));
  co_await run_job(api, exchange, prepared->request.stream, std::move(prepared->job), reply);
}

boost::asio::awaitable<void> count_tokens(ApiContext& api, http::Exchange& exchange) {
  const auto model = api.loaded_model();
  std::optional<http::Response> response = co_await prepare_request(api, exchange, model, answer_count, error_body);
  if (response) co_await exchange.respond(std::move(*response));
}

void add_routes(http::Router& router, ApiContext& api) {
  router.shape_errors("/v1/messages", error_body);
  router.add({.method = "POST",
              .path = "/v1/messages",
              .handler = [&api](http::Exchange& exchange) { return messages(api, exchange); },
              .ignored_query = {"beta"}});
  router.add({.method = "POST",
              .path = "/v1/messages/count_tokens",
              .handler = [&api](http::Exchange& exchange) { return count_tokens(api, exchange); },
              .ignored_query = {"beta"}});
}

}  // namespace retort::anthropic
