// What it takes to encrypt connections.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <string>

#include "base/result.h"

namespace retort::http {

// PEM files: the certificate with those it builds on, and its key. Errors name the file.
Result<boost::asio::ssl::context> load_tls(const std::string& certificate_file, const std::string& key_file);

}  // namespace retort::http
