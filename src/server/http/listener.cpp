#include "server/http/listener.h"

#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstring>
#include <filesystem>

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
constexpr std::chrono::minutes kEndOfSpell{1};  // without an error
constexpr int kTurnedAway = 503;
constexpr size_t kMaxTurnedAway = 64;  // at once, of those whom telling so takes a handshake

bool is_full(const Service& service) {
  return service.sessions.size() - service.num_turned_away >= static_cast<size_t>(service.limits.max_connections);
}

std::string too_many_connections() {
  const Response response =
      error_response({.status = kTurnedAway, .message = "too many connections", .retry_after = 1});
  return format_head(response.status, {{"Content-Type", response.content_type},
                                       {"Content-Length", std::to_string(response.body.size())},
                                       {"Retry-After", "1"},
                                       {"x-request-id", make_request_id()},
                                       {"Connection", "close"}}) +
         response.body;
}

// It fits into the socket's send buffer or is dropped.
void turn_away(Socket socket) {
  ErrorCode ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(too_many_connections()), ignored);
  socket.shutdown(Socket::shutdown_send, ignored);
}

// "127.0.0.1:51234", for the log.
std::string name_of(const asio::generic::stream_protocol::endpoint& peer) {
  const int family = peer.protocol().family();
  if (family != AF_INET && family != AF_INET6) return "local";
  tcp::endpoint endpoint;
  std::memcpy(endpoint.data(), peer.data(), peer.size());
  return fmt::format("{}:{}", endpoint.address().to_string(), endpoint.port());
}

}  // namespace

Listener::~Listener() { close(); }

Status Listener::listen(const Protocol::endpoint& endpoint, const std::string& name) {
  ErrorCode error;
  acceptor_.open(endpoint.protocol(), error);
  if (!error && endpoint.protocol().family() != AF_UNIX)
    acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(kBacklog, error);
  if (error) return fail(ErrorKind::kIo, "[server] cannot listen on {}: {}", name, error.message());
  return {};
}

Result<std::unique_ptr<Listener>> Listener::bind(asio::io_context& io, const std::string& host, uint16_t port) {
  ErrorCode error;
  tcp::resolver resolver(io);
  const auto found =
      resolver.resolve(host, std::to_string(port), tcp::resolver::passive | tcp::resolver::numeric_service, error);
  if (error || found.empty()) return fail(ErrorKind::kBadInput, "[server] host '{}': {}", host, error.message());
  const tcp::endpoint endpoint = found.begin()->endpoint();
  auto listener = std::unique_ptr<Listener>(new Listener(io));
  RETORT_TRY(listener->listen(endpoint, fmt::format("{}:{}", host, port)));
  listener->address_ = endpoint;
  const Protocol::endpoint bound = listener->acceptor_.local_endpoint();
  std::memcpy(listener->address_.data(), bound.data(), bound.size());  // with the port that was chosen
  return listener;
}

Result<std::unique_ptr<Listener>> Listener::bind_unix(asio::io_context& io, const std::string& path) {
  constexpr size_t kMaxBytes = sizeof(sockaddr_un::sun_path) - 1;
  if (path.empty() || path.size() > kMaxBytes)
    return fail(ErrorKind::kBadInput, "[server] --uds: expected a path of 1 to {} bytes, got {}", kMaxBytes,
                path.size());
  const asio::local::stream_protocol::endpoint endpoint(path);
  std::error_code ignored;
  if (std::filesystem::is_socket(path, ignored)) {  // left behind, unless somebody answers there
    asio::local::stream_protocol::socket probe(io);
    ErrorCode error;
    probe.connect(endpoint, error);
    if (!error) return fail(ErrorKind::kIo, "[server] cannot listen on {}: another server does", path);
    std::filesystem::remove(path, ignored);
  }
  auto listener = std::unique_ptr<Listener>(new Listener(io));
  RETORT_TRY(listener->listen(endpoint, path));
  listener->path_ = path;
  return listener;
}

void Listener::start(Service& service) { asio::co_spawn(acceptor_.get_executor(), run(service), asio::detached); }

asio::awaitable<void> Listener::run(Service& service) {
  std::optional<std::chrono::steady_clock::time_point> last_error;
  while (acceptor_.is_open()) {
    Socket socket(acceptor_.get_executor());
    Protocol::endpoint peer;
    const auto [error] = co_await acceptor_.async_accept(socket, peer, kAwait);
    if (!acceptor_.is_open()) break;
    if (error) {  // out of file descriptors, mostly: those who are connected need them more
      const auto now = std::chrono::steady_clock::now();
      const bool is_known = last_error && now - *last_error < kEndOfSpell;
      spdlog::log(is_known ? spdlog::level::debug : spdlog::level::warn, "cannot accept a connection: {}",
                  error.message());
      last_error = now;
      pause_.expires_after(kPauseAfterError);
      co_await pause_.async_wait(kAwait);
      continue;
    }
    ErrorCode ignored;
    if (path_.empty()) socket.set_option(tcp::no_delay(true), ignored);
    if (is_full(service)) {
      refuse(std::move(socket), name_of(peer), service);
    } else {
      Session::start(tls_ ? Stream(std::move(socket), *tls_) : Stream(std::move(socket)), name_of(peer), service);
    }
  }
}

void Listener::refuse(Socket socket, std::string peer, Service& service) {
  if (service.on_answer) service.on_answer({}, {}, kTurnedAway);
  if (!tls_)
    turn_away(std::move(socket));
  else if (service.num_turned_away < kMaxTurnedAway)
    Session::start(Stream(std::move(socket), *tls_), std::move(peer), service, too_many_connections());
}

void Listener::close() {
  ErrorCode ignored;
  acceptor_.close(ignored);
  pause_.cancel();
  if (!path_.empty()) ::unlink(std::exchange(path_, {}).c_str());
}

}  // namespace retort::http
