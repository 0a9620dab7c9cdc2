#include "server/openapi.h"

#include "server/anthropic/request.h"
#include "server/ollama/endpoints.h"
#include "server/ollama/request.h"
#include "server/openai/chat_request.h"
#include "server/openai/completion_request.h"
#include "server/openai/endpoints.h"
#include "server/simple/generate_request.h"

namespace retort {
namespace {

Json reference(const char* schema) { return {{"$ref", std::string("#/components/schemas/") + schema}}; }

Json json_content(Json schema) { return {{"application/json", {{"schema", std::move(schema)}}}}; }

Json answers(Json content) {
  return {{"200", {{"description", "Done."}, {"content", std::move(content)}}},
          {"default", {{"description", "Refused or failed."}, {"content", json_content(reference("Error"))}}}};
}

Json get(const char* summary, bool is_public) {
  Json operation = {{"summary", summary}, {"responses", answers(json_content(Json::object({{"type", "object"}})))}};
  if (is_public) operation["security"] = Json::array();
  return Json::object({{"get", std::move(operation)}});
}

Json post(const char* summary, const char* request_schema, bool streams) {
  Json content = json_content(Json::object({{"type", "object"}}));
  if (streams) content["text/event-stream"] = {{"schema", {{"type", "string"}}}};
  Json operation = {{"summary", summary},
                    {"requestBody", {{"required", true}, {"content", json_content(reference(request_schema))}}},
                    {"responses", answers(std::move(content))}};
  return Json::object({{"post", std::move(operation)}});
}

// The fields may come as query parameters as well, with or without a body.
Json with_query(Json path, const Json& schema) {
  Json parameters = Json::array();
  for (const auto& [name, property] : schema["properties"].items())
    parameters.push_back({{"name", name}, {"in", "query"}, {"schema", property}});
  path["post"]["parameters"] = std::move(parameters);
  path["post"]["requestBody"]["required"] = false;
  return path;
}

Json list_of(Json items) { return {{"type", "array"}, {"minItems", 1}, {"items", std::move(items)}}; }

Json error_schema() {
  const Json text_or_null = {{"type", Json::array({"string", "null"})}};
  return {{"type", "object"},
          {"properties",
           {{"error",
             {{"type", "object"},
              {"properties",
               {{"message", {{"type", "string"}}},
                {"type", {{"type", "string"}}},
                {"param", text_or_null},
                {"code", text_or_null}}},
              {"required", {"message", "type", "param", "code"}}}}}},
          {"required", Json::array({"error"})}};
}

Json metrics_path() {
  Json path = get("The same and more for Prometheus", false);
  path["get"]["responses"]["200"]["content"] = {{"text/plain", {{"schema", {{"type", "string"}}}}}};
  return path;
}

Json model_path() {
  Json path = get("One model", false);
  path["parameters"] =
      Json::array({{{"name", "id"}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}}});
  return path;
}

}  // namespace

Json openapi_document(const std::string& version) {
  return {
      {"openapi", "3.1.0"},
      {"info",
       {{"title", "Retort"},
        {"version", version},
        {"license", {{"name", "Apache-2.0"}, {"identifier", "Apache-2.0"}}}}},
      {"security", Json::array({{{"key", Json::array()}}})},
      {"paths",
       {{"/v1/chat/completions", post("Answer a conversation", "ChatRequest", true)},
        {"/v1/completions", post("Continue a text", "CompletionRequest", true)},
        {"/v1/models", get("The served model", false)},
        {"/v1/models/{id}", model_path()},
        {"/tokenize", post("Text or messages to token ids", "TokenizeRequest", false)},
        {"/detokenize", post("Token ids to text", "DetokenizeRequest", false)},
        {"/generate", with_query(post("Answer a prompt", "SimpleRequest", false), simple::generate_table().schema())},
        {"/generate-batch", post("Answer a list of prompts, in its order", "SimpleBatch", false)},
        {"/health", get("200 while the engine works, 503 when it is dead or stuck", true)},
        {"/ready", get("200 when requests are taken, 503 while loading or draining", true)},
        {"/ping", get("As /health", true)},
        {"/load", get("What the engine does now and has done", false)},
        {"/metrics", metrics_path()},
        {"/version", get("The server's version", false)}}},
      {"components",
       {{"securitySchemes", {{"key", {{"type", "http"}, {"scheme", "bearer"}}}}},
        {"schemas",
         {{"ChatRequest", openai::chat_table().schema()},
          {"CompletionRequest", openai::completion_table().schema()},
          {"TokenizeRequest", openai::tokenize_schema()},
          {"DetokenizeRequest", openai::detokenize_schema()},
          {"SimpleRequest", simple::generate_table().schema()},
          {"SimpleBatch", list_of(simple::batch_item_table().schema())},
          {"Error", error_schema()}}}}}};
}

}  // namespace retort
