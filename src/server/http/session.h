// One connection: reads requests within the limits, runs their handlers one after another, writes the answers, and
// notices when the client leaves while a handler works. Lives on the I/O thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <memory>

#include "server/http/exchange.h"
#include "server/http/service.h"
#include "server/http/stream.h"

namespace retort::http {

class Claim;

class Session : public std::enable_shared_from_this<Session> {
 public:
  // `service` must outlive the session; `peer` is the client's address, for the log. A client that comes when all
  // places are taken is told `last_words` and served nothing.
  static void start(Stream stream, std::string peer, Service& service, std::string last_words = "");
  ~Session();

  boost::asio::any_io_executor executor() { return stream_.get_executor(); }
  bool is_peer_gone() const { return is_peer_gone_; }
  bool is_draining() const { return service_.is_draining; }
  void on_peer_gone(std::function<void()> callback) { on_peer_gone_ = std::move(callback); }
  // Returns when all is written, or the peer is gone or reads nothing for idle_timeout.
  boost::asio::awaitable<void> write(std::string bytes);

  // At once, and what runs sees a peer that is gone; one whose answers are out still says goodbye, within seconds.
  void close();

 private:
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;
  using ErrorCode = boost::system::error_code;

  Session(Stream stream, std::string peer, Service& service, std::string last_words);

  boost::asio::awaitable<void> run();
  boost::asio::awaitable<void> serve();
  boost::asio::awaitable<bool> shake_hands();  // false: the connection ends
  boost::asio::awaitable<bool> serve_one();    // false: the connection ends
  boost::asio::awaitable<ErrorCode> wait_for_first_byte();
  boost::asio::awaitable<ErrorCode> read_header(Parser& parser);
  boost::asio::awaitable<ErrorCode> read_body(Parser& parser, Claim& claim);
  boost::asio::awaitable<void> refuse_unread(Request request, Response response,
                                             const Route* route);  // an answer to a request that was not read whole
  boost::asio::awaitable<void> refuse(Exchange& exchange, Response response);
  boost::asio::awaitable<void> answer(Exchange& exchange, const Route& route);
  boost::asio::awaitable<void> run_handler(Exchange& exchange, const Route& route);
  boost::asio::awaitable<void> say_goodbye();
  void add_cors_headers(Exchange& exchange) const;
  void count_exchange(int change);
  void log_answer(const Exchange& exchange, const Route& route) const;
  void count_answer(const Exchange& exchange) const;

  Request to_request(const Parser& parser) const;
  // The request for a route may have its body read; or the answer that says why not.
  tl::expected<void, Response> admit(const Parser& parser, const Router::Match& match, Request& request,
                                     Claim& claim) const;
  Response not_served(const Router::Match& match, const Request& request) const;
  Response refusal(const Request& request, const ApiError& error) const;  // in the shape of its path
  ApiError error_of(ErrorCode error) const;

  void arm(std::chrono::milliseconds time);  // cancels what the socket does once the time is up, and until disarm()
  void cancel_at_deadline();
  void disarm();
  void watch_peer();
  void read_ahead();
  void stop_watching();
  void peer_left();

  Stream stream_;
  std::string peer_;
  Service& service_;
  std::string last_words_;            // of one that is turned away; else empty
  boost::beast::flat_buffer buffer_;  // read and not yet parsed; holds pipelined requests
  boost::asio::steady_timer deadline_;
  uint64_t arm_epoch_ = 0, watch_epoch_ = 0;  // a callback of an earlier epoch is stale
  bool is_timed_out_ = false;
  bool is_peer_gone_ = false;
  bool is_first_request_ = true;
  bool is_writing_ = false;
  bool has_unread_ = false;  // something came while a write was under way
  bool is_ending_ = false;
  bool lingers_ = false;  // closing with unread input would reset the connection, and the answer might be lost
  std::function<void()> on_peer_gone_;
};

}  // namespace retort::http
