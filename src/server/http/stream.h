// The bytes of a connection, encrypted or not: what Asio and Beast ask of a stream, and the socket beneath. Lives on
// the I/O thread.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <variant>

namespace retort::http {

using Socket = boost::asio::generic::stream_protocol::socket;

class Stream {
 public:
  using executor_type = Socket::executor_type;
  using ErrorCode = boost::system::error_code;

  Stream(Socket socket) : stream_(std::move(socket)) {}
  // async_handshake() comes first.
  Stream(Socket socket, boost::asio::ssl::context& context)
      : stream_(std::in_place_type<Encrypted>, std::move(socket), context) {}

  executor_type get_executor() { return socket().get_executor(); }
  bool is_encrypted() const { return std::holds_alternative<Encrypted>(stream_); }
  Socket& socket() { return is_encrypted() ? std::get<Encrypted>(stream_).next_layer() : std::get<Socket>(stream_); }

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, void(ErrorCode, size_t)>(
        [this](auto handler, const Buffers& area) {
          std::visit([&](auto& stream) { stream.async_read_some(area, std::move(handler)); }, stream_);
        },
        token, buffers);
  }
  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, void(ErrorCode, size_t)>(
        [this](auto handler, const Buffers& bytes) {
          std::visit([&](auto& stream) { stream.async_write_some(bytes, std::move(handler)); }, stream_);
        },
        token, buffers);
  }
  // Not while a write is under way: reading encrypted bytes may take an answer to the peer.
  template <class Buffers>
  size_t read_some(const Buffers& buffers, ErrorCode& error) {
    return std::visit([&](auto& stream) { return stream.read_some(buffers, error); }, stream_);
  }

  // These two only of an encrypted stream.
  template <class Token>
  auto async_handshake(Token&& token) {
    return std::get<Encrypted>(stream_).async_handshake(boost::asio::ssl::stream_base::server,
                                                        std::forward<Token>(token));
  }
  template <class Token>
  auto async_shutdown(Token&& token) {  // says that nothing more comes, and waits for the peer to say so too
    return std::get<Encrypted>(stream_).async_shutdown(std::forward<Token>(token));
  }

 private:
  using Encrypted = boost::asio::ssl::stream<Socket>;
  std::variant<Socket, Encrypted> stream_;
};

}  // namespace retort::http
