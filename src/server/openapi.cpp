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
namespace {

constexpr const char* kSse = "text/event-stream";
constexpr const char* kLines = "application/x-ndjson";

struct Operation {
  const char* api;
  const char* method;
  const char* path;
  const char* summary;
  const char* request = nullptr;  // the schema of its body
  const char* stream = nullptr;   // the type of a streamed answer, where there is one
  bool is_public = false;
};

constexpr Operation kOperations[] = {
    {"OpenAI", "post", "/v1/chat/completions", "Answer a conversation", "ChatRequest", kSse},
    {"OpenAI", "post", "/v1/completions", "Continue a text", "CompletionRequest", kSse},
    {"OpenAI", "post", "/v1/embeddings", "Vectors that stand for texts", "EmbeddingRequest"},
    {"OpenAI", "post", "/v1/responses", "Answer, and keep the answer to go on with", "ResponseRequest", kSse},
    {"OpenAI", "get", "/v1/responses/{id}", "A stored response"},
    {"OpenAI", "delete", "/v1/responses/{id}", "Forget a stored response"},
    {"OpenAI", "post", "/v1/responses/{id}/cancel", "End a response that runs"},
    {"OpenAI", "get", "/v1/models", "The served model"},
    {"OpenAI", "get", "/v1/models/{id}", "One model"},
    {"OpenAI", "post", "/tokenize", "Text or messages to token ids", "TokenizeRequest"},
    {"OpenAI", "post", "/detokenize", "Token ids to text", "DetokenizeRequest"},
    {"Anthropic", "post", "/v1/messages", "Answer a conversation", "MessagesRequest", kSse},
    {"Anthropic", "post", "/v1/messages/count_tokens", "Count a conversation's tokens", "CountTokensRequest"},
    {"Ollama", "post", "/api/chat", "Answer a conversation", "OllamaChat", kLines},
    {"Ollama", "post", "/api/generate", "Answer a prompt", "OllamaGenerate", kLines},
    {"Ollama", "post", "/api/embed", "Vectors that stand for texts", "OllamaEmbed"},
    {"Ollama", "post", "/api/embeddings", "The vector of one text, as it was asked for before", "OllamaEmbeddings"},
    {"Ollama", "get", "/api/tags", "The served model"},
    {"Ollama", "get", "/api/ps", "The loaded model"},
    {"Ollama", "post", "/api/show", "What is known of the model", "OllamaShow"},
    {"Ollama", "get", "/api/version", "The server's version"},
    {"Simple", "post", "/generate", "Answer a prompt; fields in the body or in the query", "SimpleRequest"},
    {"Simple", "post", "/generate-batch", "Answer a list of prompts, in its order", "SimpleBatch"},
    {"Server", "get", "/health", "200 while the engine works, 503 when it is dead or stuck", nullptr, nullptr, true},
    {"Server", "get", "/ready", "200 when requests are taken, 503 while loading or draining", nullptr, nullptr, true},
    {"Server", "get", "/ping", "As /health", nullptr, nullptr, true},
    {"Server", "get", "/load", "What the engine does now and has done"},
    {"Server", "get", "/metrics", "The same and more for Prometheus"},
    {"Server", "get", "/version", "The server's version"},
    {"Server", "get", "/server_info", "How the server is set up; only with --enable-admin"},
    {"Server", "post", "/reset_prefix_cache", "Forget what prompts have been computed; only with --enable-admin"},
};

Json reference(std::string_view schema) { return {{"$ref", fmt::format("#/components/schemas/{}", schema)}}; }

Json json_content(Json schema) { return {{"application/json", {{"schema", std::move(schema)}}}}; }

// What never gets as far as its API (no key, no such path, a body too large) is refused in OpenAI's shape.
Json error_of(std::string_view api) {
  if (api == "Ollama") return {{"anyOf", {reference("OllamaError"), reference("Error")}}};
  if (api == "Anthropic") return {{"anyOf", {reference("AnthropicError"), reference("Error")}}};
  return reference("Error");
}

Json describe(const Operation& operation) {
  Json content = json_content(Json::object({{"type", "object"}}));
  if (operation.stream != nullptr) content[operation.stream] = {{"schema", {{"type", "string"}}}};
  Json json = {
      {"summary", operation.summary},
      {"tags", Json::array({operation.api})},
      {"responses",
       {{"200", {{"description", "Done."}, {"content", std::move(content)}}},
        {"default", {{"description", "Refused or failed."}, {"content", json_content(error_of(operation.api))}}}}}};
  if (operation.request != nullptr)
    json["requestBody"] = {{"required", true}, {"content", json_content(reference(operation.request))}};
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

Json id_parameter() {
  return {{"name", "id"}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}, {"minLength", 1}}}};
}

Json paths() {
  Json paths = Json::object();
  for (const Operation& operation : kOperations) paths[operation.path][operation.method] = describe(operation);
  paths["/metrics"]["get"]["responses"]["200"]["content"] = {{"text/plain", {{"schema", {{"type", "string"}}}}}};
  allow_query(paths["/generate"]["post"], simple::generate_table().schema());
  for (auto& [path, operations] : paths.items())
    if (path.find("{id}") != std::string::npos) operations["parameters"] = Json::array({id_parameter()});
  return paths;
}

Json object_of(Json properties) {
  Json required = Json::array();
  for (const auto& [name, schema] : properties.items()) required.push_back(name);
  return {{"type", "object"}, {"properties", std::move(properties)}, {"required", std::move(required)}};
}

Json schemas() {
  const Json text = {{"type", "string"}}, text_or_null = {{"type", Json::array({"string", "null"})}};
  return {
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
      {"SimpleBatch", {{"type", "array"}, {"minItems", 1}, {"items", simple::batch_item_table().schema()}}},
      {"Error",
       object_of(Json::object(
           {{"error",
             object_of({{"message", text}, {"type", text}, {"param", text_or_null}, {"code", text_or_null}})}}))},
      {"AnthropicError",
       object_of({{"type", {{"const", "error"}}}, {"error", object_of({{"type", text}, {"message", text}})}})},
      {"OllamaError", object_of(Json::object({{"error", text}}))},
  };
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
