#include "server/http/tls.h"

namespace retort::http {

namespace ssl = boost::asio::ssl;

Result<ssl::context> load_tls(const std::string& certificate_file, const std::string& key_file) {
  ssl::context context(ssl::context::tls_server);
  context.set_options(ssl::context::default_workarounds | ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1 |
                      ssl::context::no_sslv2 | ssl::context::no_sslv3);
  boost::system::error_code error;
  context.use_certificate_chain_file(certificate_file, error);
  if (error)
    return fail(ErrorKind::kBadInput, "[server] --ssl-certfile {}: expected a PEM certificate: {}", certificate_file,
                error.message());
  context.use_private_key_file(key_file, ssl::context::pem, error);
  if (error)
    return fail(ErrorKind::kBadInput, "[server] --ssl-keyfile {}: expected the PEM key of the certificate: {}",
                key_file, error.message());
  return context;
}

}  // namespace retort::http
