// /health /ready /ping /version /load: how the server is.
#pragma once

#include "server/api_context.h"
#include "server/http/router.h"

namespace retort {

void add_status_routes(http::Router& router, ApiContext& api, std::string version);

}  // namespace retort
