#include "server/http/tls.h"

#include <sys/socket.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "base/log.h"

namespace retort::http {

namespace asio = boost::asio;
namespace ssl = asio::ssl;
using ErrorCode = boost::system::error_code;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::seconds kGoodbyeTime{1};  // for a client that does not answer our end of the encrypted stream

// Until `from` ends, or `to` takes no more.
template <class From, class To>
asio::awaitable<void> pump(From& from, To& to) {
  std::array<char, 16384> bytes;
  while (true) {
    const auto area = asio::buffer(bytes);
    const auto [error, size] = co_await from.async_read_some(area, kAwait);
    if (size > 0) {
      const auto filled = asio::buffer(bytes, size);
      const auto [write_error, written] = co_await asio::async_write(to, filled, kAwait);
      if (write_error) co_return;
    }
    if (error) co_return;
  }
}

}  // namespace

class Tls::Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Tls& tls, Socket socket)
      : tls_(tls), encrypted_(std::move(socket), tls.context_), plain_(executor()), deadline_(executor()) {
    tls_.connections_.insert(this);
  }
  ~Connection() { tls_.connections_.erase(this); }

  asio::any_io_executor executor() { return encrypted_.get_executor(); }

  asio::awaitable<void> run(std::chrono::milliseconds handshake_timeout, std::function<void(Socket)> ready) {
    ++tls_.num_handshakes_;
    close_after(handshake_timeout);
    const auto [error] = co_await encrypted_.async_handshake(ssl::stream_base::server, kAwait);
    deadline_.cancel();
    --tls_.num_handshakes_;
    if (error) {
      log::debug("TLS handshake failed: {}", error.message());
      co_return;
    }
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
      log::warn("cannot take a TLS connection: {}", std::strerror(errno));
      co_return;
    }
    const asio::generic::stream_protocol protocol(AF_UNIX, 0);
    plain_.assign(protocol, ends[0]);
    ready(Socket(executor(), protocol, ends[1]));
    auto to_session = pump_to_session();
    asio::co_spawn(executor(), std::move(to_session), asio::detached);
    co_await pump(plain_, encrypted_);
    close_after(kGoodbyeTime);
    co_await encrypted_.async_shutdown(kAwait);
    close();
  }

  void close() {
    ErrorCode ignored;
    encrypted_.lowest_layer().close(ignored);
    plain_.close(ignored);
    deadline_.cancel();
  }

 private:
  asio::awaitable<void> pump_to_session() {
    const auto self = shared_from_this();
    co_await pump(encrypted_, plain_);
    ErrorCode ignored;
    plain_.shutdown(Socket::shutdown_send, ignored);  // the client has left
  }

  void close_after(std::chrono::milliseconds time) {
    deadline_.expires_after(time);
    deadline_.async_wait([self = shared_from_this()](ErrorCode error) {
      if (!error) self->close();
    });
  }

  Tls& tls_;
  ssl::stream<Socket> encrypted_;
  Socket plain_;  // our end of the pair
  asio::steady_timer deadline_;
};

Result<std::unique_ptr<Tls>> Tls::load(const std::string& certificate_file, const std::string& key_file) {
  ssl::context context(ssl::context::tls_server);
  context.set_options(ssl::context::default_workarounds | ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1 |
                      ssl::context::no_sslv2 | ssl::context::no_sslv3);
  ErrorCode error;
  context.use_certificate_chain_file(certificate_file, error);
  if (error)
    return fail(ErrorKind::kBadInput, "[server] --ssl-certfile {}: expected a PEM certificate: {}", certificate_file,
                error.message());
  context.use_private_key_file(key_file, ssl::context::pem, error);
  if (error)
    return fail(ErrorKind::kBadInput, "[server] --ssl-keyfile {}: expected the PEM key of the certificate: {}",
                key_file, error.message());
  return std::unique_ptr<Tls>(new Tls(std::move(context)));
}

void Tls::accept(Socket socket, std::chrono::milliseconds handshake_timeout, std::function<void(Socket)> ready) {
  auto connection = std::make_shared<Connection>(*this, std::move(socket));
  asio::co_spawn(connection->executor(), connection->run(handshake_timeout, std::move(ready)),
                 [connection](const std::exception_ptr&) {});
}

void Tls::close() {
  const std::unordered_set<Connection*> all = connections_;
  for (Connection* connection : all) connection->close();
}

}  // namespace retort::http
