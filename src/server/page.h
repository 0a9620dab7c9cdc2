// The chat page, web/index.html, which the build puts into the program.
#pragma once

#include <string>
#include <string_view>

#include "server/http/router.h"

namespace retort {

extern const std::string_view kPage;

// Allows what is within the page and the server it came from, nothing else: its script and style are named by hash.
std::string content_security_policy(std::string_view page);

void add_page_route(http::Router& router);

}  // namespace retort
