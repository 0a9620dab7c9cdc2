#include "server/openai/request_template.h"

namespace retort::openai {
namespace {

constexpr const char* kField = "chat_template";

Result<ChatTemplate> compile(const ServedModel& model, const std::string& source) {
  if (model.chat_template != nullptr) return model.chat_template->with_source(source);
  const auto bos = model.tokenizer->bos();
  return ChatTemplate::compile(source, bos ? model.tokenizer->token_bytes(*bos) : std::string_view(), "");
}

}  // namespace

ApiResult<OwnTemplate> use_template(const ServedModel& model, const std::string& source) {
  if (!model.trusts_request_templates)
    return refuse(400,
                  "chat_template: expected none: this server does not take templates from requests "
                  "(--trust-request-chat-template)",
                  kField, "unsupported_parameter");
  auto compiled = compile(model, source);
  if (!compiled) {
    ApiError error = to_api_error(compiled.error());
    error.param = kField;
    return tl::unexpected<ApiError>(std::move(error));
  }
  OwnTemplate own{std::make_unique<ChatTemplate>(std::move(*compiled)), model};
  own.model.chat_template = own.chat_template.get();
  own.model.spells_tools = tool_format_of_template(source) != model.tool_format;
  return own;
}

}  // namespace retort::openai
