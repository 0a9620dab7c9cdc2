// OpenAI's responses API: create, count, fetch, cancel, delete.
#pragma once

#include "server/api_context.h"
#include "server/http/exchange.h"
#include "server/http/router.h"

namespace retort::responses {

void add_routes(http::Router& router, ApiContext& api);

}  // namespace retort::responses
