// GET /api/tags, /api/ps and /api/version, POST /api/show; and what all of Ollama's API has in common.
#include <ctime>

#include "server/ollama/endpoints.h"
#include "server/ollama/request.h"
#include "server/prepare.h"

namespace retort::ollama {
namespace {

Json details(const ServedModel& model) {
  const std::string& family = model.config.architecture;
  return {{"parent_model", ""}, {"family", family}, {"families", Json::array({family})}};
}

Json card(const ServedModel& model) {
  return {{"name", model.id}, {"model", model.id}, {"size", model.weight_bytes}, {"details", details(model)}};
}

Json file_card(const ServedModel& model) {
  Json json = card(model);
  json["modified_at"] = timestamp(std::chrono::system_clock::from_time_t(model.created));
  return json;
}

Json running_card(const ServedModel& model) {
  Json json = card(model);
  json["size_vram"] = 0;
  json["context_length"] = model.max_model_len;
  return json;
}

Json model_info(const ServedModel& model) {
  const ModelConfig& config = model.config;
  const std::string& name = config.architecture;
  return {{"general.architecture", name},
          {"general.basename", config.name},
          {name + ".context_length", model.max_model_len},
          {name + ".embedding_length", config.hidden_size},
          {name + ".block_count", config.num_layers},
          {name + ".feed_forward_length", config.ffn_size},
          {name + ".attention.head_count", config.num_heads},
          {name + ".attention.head_count_kv", config.num_kv_heads},
          {name + ".vocab_size", config.vocab_size}};
}

Json capabilities(const ServedModel& model) {
  Json list = Json::array({"completion"});
  if (model.chat_template != nullptr) list.push_back("tools");
  if (model.is_reasoning) list.push_back("thinking");
  return list;
}

struct ShowRequest {
  std::string model, name;  // the older name of the same
  bool verbose = false;
};

const FieldTable<ShowRequest>& show_table() {
  using R = ShowRequest;
  static const FieldTable<R> table({
      string_field("model", &R::model, "The served model's name."),
      string_field("name", &R::name, "The older name of model."),
      bool_field("verbose", &R::verbose, false, "Changes nothing: all that is known is always shown."),
  });
  return table;
}

ApiResult<http::Response> answer_show(const ServedModel& model, const Json& body) {
  ShowRequest request;
  RETORT_API_TRY(show_table().apply(body, request));
  const std::string& name = request.model.empty() ? request.name : request.model;
  if (name.empty()) return refuse(400, "model: required, and missing", "model");
  if (name != model.id) RETORT_API_TRY(check_model_name(model, without_latest(name)));
  return http::json_response({{"modelfile", fmt::format("FROM {}\n", model.id)},
                              {"parameters", ""},
                              {"template", model.chat_template == nullptr ? "" : model.chat_template->source()},
                              {"modified_at", timestamp(std::chrono::system_clock::from_time_t(model.created))},
                              {"details", details(model)},
                              {"model_info", model_info(model)},
                              {"capabilities", capabilities(model)}});
}

boost::asio::awaitable<void> answer_list(ApiContext& api, http::Exchange& exchange,
                                         Json (*card_of)(const ServedModel&)) {
  const auto model = api.loaded_model();
  http::Response response = model ? http::json_response(Json::object({{"models", Json::array({card_of(**model)})}}))
                                  : http::error_response(model.error(), error_body(model.error()));
  co_await exchange.respond(std::move(response));
}

}  // namespace

Json error_body(const ApiError& error) { return Json::object({{"error", error.message}}); }

std::string timestamp(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  const auto micros =
      std::chrono::duration_cast<std::chrono::microseconds>(time - std::chrono::system_clock::from_time_t(seconds))
          .count();
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  const size_t size = std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:06}Z", std::string_view(text, size), micros);
}

boost::asio::awaitable<void> list_models(ApiContext& api, http::Exchange& exchange) {
  return answer_list(api, exchange, file_card);
}

boost::asio::awaitable<void> list_running(ApiContext& api, http::Exchange& exchange) {
  return answer_list(api, exchange, running_card);
}

boost::asio::awaitable<void> show(ApiContext& api, http::Exchange& exchange) {
  const auto model = api.loaded_model();
  std::optional<http::Response> response = co_await prepare_request(api, exchange, model, answer_show, error_body);
  if (response) co_await exchange.respond(std::move(*response));
}

// By one of its names.
Json show_schema() {
  Json schema = show_table().schema();
  const auto named = [](const char* field) {
    return Json{{"properties", Json::object({{field, text_not_empty_schema()}})}, {"required", Json::array({field})}};
  };
  schema["anyOf"] = Json::array({named("model"), named("name")});
  return schema;
}

void add_routes(http::Router& router, ApiContext& api, std::string version) {
  router.shape_errors("/api/", error_body);
  using Endpoint = boost::asio::awaitable<void> (*)(ApiContext&, http::Exchange&);
  const auto add = [&](std::string method, std::string path, Endpoint endpoint) {
    router.add({.method = std::move(method),
                .path = std::move(path),
                .handler = [&api, endpoint](http::Exchange& exchange) { return endpoint(api, exchange); },
                .any_type = true});
  };
  add("POST", "/api/chat", chat);
  add("POST", "/api/generate", generate);
  add("POST", "/api/embed", embed);
  add("POST", "/api/embeddings", embeddings);
  add("GET", "/api/tags", list_models);
  add("GET", "/api/ps", list_running);
  add("POST", "/api/show", show);
  router.add({.method = "GET",
              .path = "/api/version",
              .handler = [document = dump_json(Json::object({{"version", std::move(version)}}))](
                             http::Exchange& exchange) { return exchange.respond({.body = document}); }});
}

}  // namespace retort::ollama
