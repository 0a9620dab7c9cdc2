// Any bytes as the JSON body of each endpoint that has one: refused in OpenAI's shape, or read into requests that keep
// their promises.
#include <cstdint>

#include "server/fields/json_input.h"
#include "server/openai/chat_request.h"
#include "server/openai/completion_request.h"

namespace {

using namespace retort;

template <class T>
const T* read(const ApiResult<T>& result) {
  if (result) return &*result;
  RETORT_CHECK(result.error().status == 400);
  RETORT_CHECK(!result.error().message.empty());
  (void)Json::parse(dump_json(error_json(result.error())));  // throws for what no client could read
  return nullptr;
}

void check(const openai::GenerateRequest& request) {
  RETORT_CHECK(request.n >= 1 && request.n <= 64);
  RETORT_CHECK(!request.temperature || (*request.temperature >= 0 && *request.temperature <= 2));
  RETORT_CHECK(!request.max_tokens || (*request.max_tokens >= 0 && request.min_tokens <= *request.max_tokens));
  RETORT_CHECK(request.stop.size() <= 16);
  for (const std::string& stop : request.stop) RETORT_CHECK(!stop.empty());
  for (const auto& [id, bias] : request.logit_bias) RETORT_CHECK(id >= 0 && bias >= -100 && bias <= 100);
  for (const TokenId id : request.stop_token_ids) RETORT_CHECK(id >= 0);
  for (const TokenId id : request.allowed_token_ids) RETORT_CHECK(id >= 0);
}

// What chat templates rely on.
void check_messages(const Json& messages) {
  RETORT_CHECK(messages.is_array() && !messages.empty());
  for (const Json& message : messages) {
    RETORT_CHECK(message.at("role").is_string() && message.at("role") != "developer");
    RETORT_CHECK(message.at("content").is_string() || message.at("role") == "assistant");
  }
}

void read_chat(const Json& body) {
  const auto result = openai::parse_chat_request(body);
  if (const auto* request = read(result)) {
    check(*request);
    check_messages(request->messages);
    RETORT_CHECK(request->chat_template_kwargs.is_object());
  }
}

void read_completion(const Json& body) {
  const auto result = openai::parse_completion_request(body);
  if (const auto* request = read(result)) {
    check(*request);
    RETORT_CHECK(!request->prompts.empty() && request->max_tokens);
  }
}

void read_parts(const Json& body) {
  const auto messages = openai::normalise_messages(body);
  if (const auto* normalised = read(messages)) check_messages(*normalised);
  const auto prompts = openai::read_prompts(body);
  if (const auto* raw = read(prompts)) RETORT_CHECK(!raw->empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto parsed = parse_json({reinterpret_cast<const char*>(data), size}, {.refuses_repeated_keys = true});
  const Json* body = read(parsed);
  if (body == nullptr) return 0;
  read_chat(*body);
  read_completion(*body);
  read_parts(*body);  // the members that every request has, without their frame
  return 0;
}
