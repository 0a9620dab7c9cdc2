// One request and its answer, as a handler sees them. Lives on the I/O thread, as long as the handler runs.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <string>

#include "server/http/message.h"

namespace retort::http {

class Session;
struct Route;

class Exchange {
 public:
  Exchange(Session& session, Request request, const Route* route)
      : request_(std::move(request)), session_(session), route_(route) {}
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  const Request& request() const { return request_; }
  std::chrono::steady_clock::time_point arrival() const { return arrival_; }  // when it had been read
  std::string take_body() { return std::move(request_.body); }
  const Route* route() const { return route_; }  // null: no such path, or not with this method
  std::string_view rest_of_path() const;         // what "*" of the route stands for
  boost::asio::any_io_executor executor() const;

  // The whole answer at once.
  boost::asio::awaitable<void> respond(Response response);
  // Or in pieces: start, any number of writes, finish. Once the client is gone they do nothing.
  boost::asio::awaitable<void> start_stream(std::string content_type);
  boost::asio::awaitable<void> write(std::string bytes);
  boost::asio::awaitable<void> finish_stream();

  bool has_started() const { return status_ != 0; }
  int status() const { return status_; }             // 0: nothing sent yet
  bool is_complete() const { return is_complete_; }  // all was written
  bool is_client_gone() const;
  void on_client_gone(std::function<void()> callback);  // called at most once, from the I/O thread; {} takes it back

  void add_header(std::string name, std::string value) {
    extra_headers_.emplace_back(std::move(name), std::move(value));
  }
  void close_after() { keep_alive_ = false; }
  bool keep_alive() const { return keep_alive_; }

  std::string note;  // what the log line says of it beside method, path, status and time

 private:
  Headers common_headers(const std::string& content_type, Headers more);

  Request request_;
  std::chrono::steady_clock::time_point arrival_ = std::chrono::steady_clock::now();
  Session& session_;
  const Route* route_;
  Headers extra_headers_;
  int status_ = 0;
  bool keep_alive_ = true;
  bool is_chunked_ = false;
  bool is_complete_ = false;
};

}  // namespace retort::http
