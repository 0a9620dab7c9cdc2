#include "server/openapi.h"

#include "server/anthropic/request.h"
#include "server/ollama/endpoints.h"
#include "server/ollama/request.h"
#include "server/openai/chat_request.h"
#include "server/openai/completion_request.h"
#include "server/openai/embedding_request.h"
#include "server/openai/endpoints.h"
#include "server/responses/request.h"
#include "server/simple/generate_request.h"

namespace retort {

extern const std::string_view kAnswerSchemas;  // openapi_answers.json

namespace {

constexpr const char* kSse = "text/event-stream";
constexpr const char* kLines = "application/x-ndjson";

// What of the engine an operation needs, and so how it can fail.
enum class Needs { kNothing, kModel, kEngine };

struct Operation {
  const char* api;
  const char* method;
  const char* path;
  const char* summary;
  const char* answer;             // the schema of its answer
  const char* request = nullptr;  // and of its body
  Needs needs = Needs::kNothing;
  const char* stream = nullptr;  // the type of a streamed answer, where there is one
  bool is_public = false;
};

using enum Needs;

constexpr Operation kOperations[] = {
    {"OpenAI", "post", "/v1/chat/completions", "Answer a conversation", "ChatAnswer", "ChatRequest", kEngine, kSse},
    {"OpenAI", "post", "/v1/completions", "Continue a text", "CompletionAnswer", "CompletionRequest", kEngine, kSse},
    {"OpenAI", "post", "/v1/embeddings", "Vectors that stand for texts", "EmbeddingAnswer", "EmbeddingRequest",
     kEngine},
    {"OpenAI", "post", "/v1/responses", "Answer, and keep the answer to go on with", "Response", "ResponseRequest",
     kEngine, kSse},
    {"OpenAI", "post", "/v1/responses/input_tokens", "Count what a response would be asked with", "InputTokensAnswer",
     "ResponseRequest", kModel},
    {"OpenAI", "get", "/v1/responses/{id}", "A stored response", "Response"},
    {"OpenAI", "delete", "/v1/responses/{id}", "Forget a stored response", "DeletedResponse"},
    {"OpenAI", "post", "/v1/responses/{id}/cancel", "End a response that runs", "Response"},
    {"OpenAI", "get", "/v1/models", "The served model", "Models", nullptr, kModel},
    {"OpenAI", "get", "/v1/models/{id}", "One model", "Model", nullptr, kModel},
    {"OpenAI", "post", "/tokenize", "Text or messages to token ids", "TokenizeAnswer", "TokenizeRequest", kModel},
    {"OpenAI", "post", "/detokenize", "Token ids to text", "DetokenizeAnswer", "DetokenizeRequest", kModel},
    {"Anthropic", "post", "/v1/messages", "Answer a conversation", "Message", "MessagesRequest", kEngine, kSse},
    {"Anthropic", "post", "/v1/messages/count_tokens", "Count a conversation's tokens", "CountTokensAnswer",
     "CountTokensRequest", kModel},
    {"Ollama", "post", "/api/chat", "Answer a conversation", "OllamaChatAnswer", "OllamaChat", kEngine, kLines},
    {"Ollama", "post", "/api/generate", "Answer a prompt", "OllamaGenerateAnswer", "OllamaGenerate", kEngine, kLines},
    {"Ollama", "post", "/api/embed", "Vectors that stand for texts", "OllamaEmbedAnswer", "OllamaEmbed", kEngine},
    {"Ollama", "post", "/api/embeddings", "The vector of one text, as it was asked for before",
     "OllamaEmbeddingsAnswer", "OllamaEmbeddings", kEngine},
    {"Ollama", "get", "/api/tags", "The served model", "OllamaModels", nullptr, kModel},
    {"Ollama", "get", "/api/ps", "The loaded model", "OllamaRunning", nullptr, kModel},
    {"Ollama", "post", "/api/show", "What is known of the model", "OllamaShowAnswer", "OllamaShow", kModel},
    {"Ollama", "get", "/api/version", "The server's version", "Version"},
    {"Simple", "post", "/generate", "Answer a prompt; fields in the body or in the query", "SimpleAnswer",
     "SimpleRequest", kEngine},
    {"Simple", "post", "/generate-batch", "Answer a list of prompts, in its order", "SimpleBatchAnswer", "SimpleBatch",
     kEngine},
    {"Server", "get", "/health", "200 while the engine works, 503 while loading or when it is dead or stuck", "Ok",
     nullptr, kModel, nullptr, true},
    {"Server", "get", "/ready", "200 when requests are taken, 503 while loading or draining", "Ok", nullptr, kModel,
     nullptr, true},
    {"Server", "get", "/ping", "As /health", "Ok", nullptr, kModel, nullptr, true},
    {"Server", "get", "/load", "What the engine does now and has done", "Load"},
    {"Server", "get", "/metrics", "The same and more for Prometheus", nullptr},
    {"Server", "get", "/version", "The server's version", "Version"},
    {"Server", "get", "/server_info", "How the server is set up; only with --enable-admin", "ServerInfo"},
    {"Server", "post", "/reset_prefix_cache", "Forget what prompts have been computed; only with --enable-admin", "Ok",
     nullptr, kModel},
};

struct Failure {
  int status;
  const char* what;
};

constexpr Failure kFailures[] = {
    {400, "The request is not one that is understood: the message says what was expected and what came."},
    {401, "No API key, or a wrong one."},
    {403, "This Host is not served here."},
    {404, "No such model, response or path."},
    {408, "The request did not arrive, or the answer was not ready, in time."},
    {413, "The body is too large."},
    {415, "The body is not called application/json, or is compressed."},
    {417, "Expect is something other than 100-continue."},
    {429, "Too many requests wait, or the key has too many under way."},
    {431, "The header is too large."},
    {500, "A fault of the server."},
    {503, "Loading, draining, or short of memory."},
};

Json reference(std::string_view schema) { return {{"$ref", fmt::format("#/components/schemas/{}", schema)}}; }

Json json_content(Json schema) { return {{"application/json", {{"schema", std::move(schema)}}}}; }

Json error_of(std::string_view api) {
  return reference(api == "Ollama" ? "OllamaError" : api == "Anthropic" ? "AnthropicError" : "Error");
}

bool can_fail_with(const Operation& operation, int status) {
  const bool is_post = std::string_view(operation.method) == "post";
  const bool names_something = std::string_view(operation.path).find('{') != std::string_view::npos;
  const bool is_of_admin = std::string_view(operation.summary).find("--enable-admin") != std::string_view::npos;
  switch (status) {
    case 401:
      return !operation.is_public;
    case 404:
      return names_something || is_of_admin || operation.request != nullptr;
    case 413:
    case 415:
      return operation.request != nullptr;
    case 429:
      return is_post;
    case 500:
      return operation.needs == kEngine;
    case 503:
      return is_post || operation.needs != kNothing;
    default:
      return true;
  }
}

Json failure_json(const Failure& failure, std::string_view api) {
  Json json = {{"description", failure.what}, {"content", json_content(error_of(api))}};
  if (failure.status == 429 || failure.status == 503)
    json["headers"]["Retry-After"] = {{"description", "Seconds."}, {"schema", {{"type", "integer"}, {"minimum", 0}}}};
  return json;
}

// What clients send with every request or with requests of a kind, and which changes nothing.
Json ignored_query(const Operation& operation) {
  const std::string_view path = operation.path;
  const bool is_of_models = path.starts_with("/v1/models");
  std::vector<const char*> names;
  if (std::string_view(operation.api) == "OpenAI") names.push_back("api-version");
  const bool is_of_responses = operation.request != nullptr && operation.request == std::string_view("ResponseRequest");
  if (is_of_models || path.starts_with("/v1/messages") || is_of_responses) names.push_back("beta");
  if (path == "/v1/models") names.push_back("limit");
  Json parameters = Json::array();
  for (const char* name : names)
    parameters.push_back(
        {{"name", name}, {"in", "query"}, {"description", "Changes nothing."}, {"schema", text_schema()}});
  return parameters;
}

Json describe(const Operation& operation) {
  Json content = operation.answer != nullptr ? json_content(reference(operation.answer)) : Json::object();
  // Without a schema: some take it for that of the stream's text, some for that of each event.
  if (operation.stream != nullptr) content[operation.stream] = Json::object();
  Json responses = {{"200", {{"description", "Done."}, {"content", std::move(content)}}}};
  for (const Failure& failure : kFailures)
    if (can_fail_with(operation, failure.status))
      responses[std::to_string(failure.status)] = failure_json(failure, operation.api);
  for (auto& [status, response] : responses.items())
    response["headers"]["x-request-id"] = {{"required", true}, {"schema", text_not_empty_schema()}};
  Json json = {
      {"summary", operation.summary}, {"tags", Json::array({operation.api})}, {"responses", std::move(responses)}};
  if (operation.request != nullptr)
    json["requestBody"] = {{"required", true}, {"content", json_content(reference(operation.request))}};
  if (Json ignored = ignored_query(operation); !ignored.empty()) json["parameters"] = std::move(ignored);
  if (operation.is_public) json["security"] = Json::array();
  return json;
}

// The fields may come as query parameters as well, with or without a body.
void allow_query(Json& operation, const Json& schema) {
  Json parameters = Json::array();
  for (const auto& [name, property] : schema["properties"].items())
    parameters.push_back({{"name", name}, {"in", "query"}, {"schema", property}});
  operation["parameters"] = std::move(parameters);
  operation["requestBody"]["required"] = false;
}

Json id_parameter(std::string_view path) {
  const bool is_model = path.starts_with("/v1/models/");
  const char* pattern = is_model ? "^[^\\u0000-\\u001f\\u007f]+$" : "^resp_[!-~]+$";
  return {{"name", "id"}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}, {"pattern", pattern}}}};
}

Json paths() {
  Json paths = Json::object();
  for (const Operation& operation : kOperations) paths[operation.path][operation.method] = describe(operation);
  paths["/metrics"]["get"]["responses"]["200"]["content"]["text/plain"] = Json::object({{"schema", text_schema()}});
  allow_query(paths["/generate"]["post"], simple::generate_table().schema());
  for (auto& [path, operations] : paths.items())
    if (path.find("{id}") != std::string::npos) operations["parameters"] = Json::array({id_parameter(path)});
  return paths;
}

Json schemas() {
  Json schemas = Json::parse(kAnswerSchemas);
  schemas.update({
      {"ChatRequest", openai::chat_table().schema()},
      {"CompletionRequest", openai::completion_table().schema()},
      {"EmbeddingRequest", openai::embedding_table().schema()},
      {"TokenizeRequest", openai::tokenize_schema()},
      {"DetokenizeRequest", openai::detokenize_schema()},
      {"ResponseRequest", responses::request_table().schema()},
      {"MessagesRequest", anthropic::messages_table().schema()},
      {"CountTokensRequest", anthropic::count_table().schema()},
      {"OllamaChat", ollama::chat_table().schema()},
      {"OllamaGenerate", ollama::generate_table().schema()},
      {"OllamaEmbed", ollama::embed_schema()},
      {"OllamaEmbeddings", ollama::embeddings_schema()},
      {"OllamaShow", ollama::show_schema()},
      {"SimpleRequest", simple::generate_table().schema()},
      {"SimpleBatch", list_schema(simple::batch_item_table().schema(), 1, simple::kMaxItems)},
  });
  return schemas;
}

}  // namespace

Json openapi_document(const std::string& version) {
  return {{"openapi", "3.1.0"},
          {"info",
           {{"title", "Retort"},
            {"version", version},
            {"license", {{"name", "Apache-2.0"}, {"identifier", "Apache-2.0"}}}}},
          {"security", Json::array({{{"key", Json::array()}}})},
          {"paths", paths()},
          {"components",
           {{"securitySchemes", {{"key", {{"type", "http"}, {"scheme", "bearer"}}}}}, {"schemas", schemas()}}}};
}

}  // namespace retort
