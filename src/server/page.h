// The pages in web/, which the build puts into the program: the chat, and the API from /openapi.json.
#pragma once

#include <string>
#include <string_view>

#include "server/http/router.h"

namespace retort {

extern const std::string_view kPage, kDocsPage;

// Allows what is within the page and the server it came from, nothing else: its script and style are named by hash.
std::string content_security_policy(std::string_view page);

// "/" and "/docs".
void add_page_routes(http::Router& router);

}  // namespace retort
