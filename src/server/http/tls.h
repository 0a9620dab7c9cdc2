// TLS in front of sessions: each encrypted connection is decrypted into a socket pair, and a session serves its other
// end as it serves any connection. Lives on the I/O thread.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>

#include "base/result.h"

namespace retort::http {

class Tls {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;

  // PEM files: the certificate with those it builds on, and its key. Errors name the file.
  static Result<std::unique_ptr<Tls>> load(const std::string& certificate_file, const std::string& key_file);

  // Calls ready(the decrypted side) when the handshake is done; drops the connection when that takes longer.
  void accept(Socket socket, std::chrono::milliseconds handshake_timeout, std::function<void(Socket)> ready);
  size_t num_handshakes() const { return num_handshakes_; }
  void close();  // every connection, at once

 private:
  class Connection;
  explicit Tls(boost::asio::ssl::context context) : context_(std::move(context)) {}

  boost::asio::ssl::context context_;
  std::unordered_set<Connection*> connections_;
  size_t num_handshakes_ = 0;
};

}  // namespace retort::http
