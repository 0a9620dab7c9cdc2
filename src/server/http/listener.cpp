#include "server/http/listener.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

#include "base/log.h"
#include "server/http/session.h"

namespace retort::http {

namespace asio = boost::asio;
using asio::ip::tcp;
using ErrorCode = boost::system::error_code;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr int kBacklog = 4096;
constexpr std::chrono::milliseconds kPauseAfterError{100};

// One that comes when all places are taken is told so; it fits into the socket's send buffer or is dropped.
void turn_away(Socket socket) {
  const Response response = error_response({.status = 503, .message = "too many connections", .retry_after = 1});
  const std::string bytes = format_head(response.status, {{"Content-Type", response.content_type},
                                                          {"Content-Length", std::to_string(response.body.size())},
                                                          {"Retry-After", "1"},
                                                          {"x-request-id", make_request_id()},
                                                          {"Connection", "close"}}) +
                            response.body;
  ErrorCode ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(bytes), ignored);
  socket.shutdown(Socket::shutdown_send, ignored);
}

}  // namespace

Result<std::unique_ptr<Listener>> Listener::bind(asio::io_context& io, const std::string& host, uint16_t port) {
  ErrorCode error;
  tcp::resolver resolver(io);
  const auto found =
      resolver.resolve(host, std::to_string(port), tcp::resolver::passive | tcp::resolver::numeric_service, error);
  if (error || found.empty()) return fail(ErrorKind::kBadInput, "[server] host '{}': {}", host, error.message());
  const tcp::endpoint endpoint = found.begin()->endpoint();

  auto listener = std::unique_ptr<Listener>(new Listener(io));
  tcp::acceptor& acceptor = listener->acceptor_;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(kBacklog, error);
  if (error) return fail(ErrorKind::kIo, "[server] cannot listen on {}:{}: {}", host, port, error.message());
  listener->address_ = acceptor.local_endpoint();
  return listener;
}

void Listener::start(Service& service) { asio::co_spawn(acceptor_.get_executor(), run(service), asio::detached); }

asio::awaitable<void> Listener::run(Service& service) {
  while (acceptor_.is_open()) {
    tcp::socket socket(acceptor_.get_executor());
    tcp::endpoint peer;
    const auto [error] = co_await acceptor_.async_accept(socket, peer, kAwait);
    if (!acceptor_.is_open()) break;
    if (error) {  // out of file descriptors, mostly: those who are connected need them more
      log::warn("cannot accept a connection: {}", error.message());
      pause_.expires_after(kPauseAfterError);
      co_await pause_.async_wait(kAwait);
      continue;
    }
    ErrorCode ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    if (service.sessions.size() >= static_cast<size_t>(service.limits.max_connections))
      turn_away(std::move(socket));
    else
      Session::start(std::move(socket), fmt::format("{}:{}", peer.address().to_string(), peer.port()), service);
  }
}

void Listener::close() {
  ErrorCode ignored;
  acceptor_.close(ignored);
  pause_.cancel();
}

}  // namespace retort::http
