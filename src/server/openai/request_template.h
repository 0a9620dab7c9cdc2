// A chat template that a request brings along, where --trust-request-chat-template allows it.
#pragma once

#include <memory>
#include <string>

#include "server/api_error.h"
#include "server/served_model.h"

namespace retort::openai {

// Of the field chat_template.
inline constexpr const char* kTemplateDoc =
    "A Jinja template in place of the model's own; refused unless the server runs with --trust-request-chat-template.";

struct OwnTemplate {
  std::unique_ptr<ChatTemplate> chat_template;
  ServedModel model;  // as served, but for this template
};

// 400: it is not allowed, or does not compile (with line and reason).
ApiResult<OwnTemplate> use_template(const ServedModel& model, const std::string& source);

}  // namespace retort::openai
