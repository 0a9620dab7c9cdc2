// GET /openapi.json: the API described, the bodies from the same field tables that read them, the answers by
// openapi_answers.json. Built once, on the main thread.
#pragma once

#include <string>

#include "text/chat_template.h"

namespace retort {

Json openapi_document(const std::string& version);

}  // namespace retort
