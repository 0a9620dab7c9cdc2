// Accepts connections on one address, encrypted ones if it is given what that takes. Lives on the I/O thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <string>

#include "server/http/service.h"

namespace retort::http {

class Listener {
 public:
  // kBadInput: the host is no address here; kIo: the port is taken.
  static Result<std::unique_ptr<Listener>> bind(boost::asio::io_context& io, const std::string& host, uint16_t port);
  // A Unix domain socket, removed by close(). kBadInput: no path for one; kIo: something else is there, or in use.
  static Result<std::unique_ptr<Listener>> bind_unix(boost::asio::io_context& io, const std::string& path);
  ~Listener();

  boost::asio::ip::tcp::endpoint address() const { return address_; }     // not of a Unix domain socket
  void encrypt(boost::asio::ssl::context tls) { tls_ = std::move(tls); }  // before start()
  void start(Service& service);                                           // `service` must outlive the io_context's run
  void close();                                                           // takes no more; those there are stay

 private:
  using Socket = boost::asio::generic::stream_protocol::socket;
  using Protocol = boost::asio::generic::stream_protocol;

  explicit Listener(boost::asio::io_context& io) : acceptor_(io), pause_(io) {}
  Status listen(const Protocol::endpoint& endpoint, const std::string& name);
  boost::asio::awaitable<void> run(Service& service);
  void refuse(Socket socket, std::string peer, Service& service);  // with a 503, as far as that can be said

  boost::asio::basic_socket_acceptor<Protocol> acceptor_;
  boost::asio::ip::tcp::endpoint address_;
  std::string path_;  // of a Unix domain socket
  std::optional<boost::asio::ssl::context> tls_;
  boost::asio::steady_timer pause_;
};

}  // namespace retort::http
