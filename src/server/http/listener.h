// Accepts connections on one address. Lives on the I/O thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>

#include "server/http/service.h"

namespace retort::http {

class Listener {
 public:
  // kBadInput: the host is no address here; kIo: the port is taken.
  static Result<std::unique_ptr<Listener>> bind(boost::asio::io_context& io, const std::string& host, uint16_t port);

  boost::asio::ip::tcp::endpoint address() const { return address_; }
  void start(Service& service);  // `service` must outlive the io_context's run
  void close();

 private:
  explicit Listener(boost::asio::io_context& io) : acceptor_(io), pause_(io) {}
  boost::asio::awaitable<void> run(Service& service);

  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::ip::tcp::endpoint address_;
  boost::asio::steady_timer pause_;
};

}  // namespace retort::http
