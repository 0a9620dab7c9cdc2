// /health /ready /ping /version /load /metrics: how the server is.
#pragma once

#include "server/api_context.h"
#include "server/http/router.h"

namespace retort {

// What is wrong with an engine that reports so; empty when nothing is.
std::string engine_fault(const EngineStats& stats, Clock::time_point now, std::chrono::seconds step_timeout);

void add_status_routes(http::Router& router, ApiContext& api, std::string version);

}  // namespace retort
