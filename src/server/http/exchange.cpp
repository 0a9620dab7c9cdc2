#include "server/http/exchange.h"

#include "server/http/session.h"

namespace retort::http {

std::string_view Exchange::rest_of_path() const { return Router::rest_of_path(*route_, request_.path); }

boost::asio::any_io_executor Exchange::executor() const { return session_.executor(); }

bool Exchange::is_client_gone() const { return session_.is_peer_gone(); }

void Exchange::on_client_gone(std::function<void()> callback) { session_.on_peer_gone(std::move(callback)); }

Headers Exchange::common_headers(const std::string& content_type, Headers more) {
  Headers headers = {{"x-request-id", request_.id}};
  if (!content_type.empty()) headers.emplace_back("Content-Type", content_type);
  for (Headers* list : {&extra_headers_, &more})
    for (auto& header : *list) headers.push_back(std::move(header));
  if (session_.is_draining()) keep_alive_ = false;
  headers.emplace_back("Connection", keep_alive_ ? "keep-alive" : "close");
  return headers;
}

boost::asio::awaitable<void> Exchange::respond(Response response) {
  RETORT_CHECK(status_ == 0);
  status_ = response.status;
  Headers headers = common_headers(response.content_type, std::move(response.headers));
  if (response.status != 204) headers.emplace_back("Content-Length", std::to_string(response.body.size()));
  std::string bytes = format_head(response.status, headers);
  if (request_.method != "HEAD") bytes += response.body;
  co_await session_.write(std::move(bytes));
  is_complete_ = !is_client_gone();
}

boost::asio::awaitable<void> Exchange::start_stream(std::string content_type) {
  RETORT_CHECK(status_ == 0);
  status_ = 200;
  is_chunked_ = !request_.is_http10;
  if (!is_chunked_) keep_alive_ = false;  // the end of the connection is the end of the answer
  Headers headers = common_headers(content_type, {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}});
  if (is_chunked_) headers.emplace_back("Transfer-Encoding", "chunked");
  std::string bytes = format_head(200, headers);
  co_await session_.write(std::move(bytes));
}

boost::asio::awaitable<void> Exchange::write(std::string bytes) {
  if (bytes.empty()) co_return;  // an empty chunk would end the body
  if (is_chunked_) bytes = fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
  co_await session_.write(std::move(bytes));
}

boost::asio::awaitable<void> Exchange::finish_stream() {
  if (is_chunked_) {
    std::string last = "0\r\n\r\n";
    co_await session_.write(std::move(last));
  }
  is_complete_ = !is_client_gone();
}

}  // namespace retort::http
