// POST /reset_prefix_cache and GET /server_info: for whoever runs the server, only with --enable-admin.
#pragma once

#include "server/api_context.h"
#include "server/http/router.h"
#include "server/server.h"

namespace retort {

void add_admin_routes(http::Router& router, ApiContext& api, const ServerConfig& config);

}  // namespace retort
