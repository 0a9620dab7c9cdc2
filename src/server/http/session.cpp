#include "server/http/session.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/read.hpp>

#include "base/log.h"
#include "server/http/claim.h"

namespace retort::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
using namespace std::chrono_literals;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr size_t kReadBytes = 64u << 10;
constexpr int64_t kBodyBytesPerSecond = 16 << 10;  // a body that comes slower is given up
constexpr auto kGoodbyeTime = 1s;                  // for a client that does not answer the end of an encrypted stream
constexpr auto kLingerTime = 2s;                   // for a client that still sends what we will not read
constexpr auto kNextCancel = 50ms;
constexpr int kClientLeft = 499;  // in the log, as nginx has it: gone before there was an answer
constexpr size_t kLingerBytes = 64u << 20;

int status_of(const Exchange& exchange) { return exchange.has_started() ? exchange.status() : kClientLeft; }

template <class View>
std::string to_string(View view) {
  return std::string(view.data(), view.size());
}

// Of a request of HTTP/1.1; before, there were no expectations.
template <class Parser>
std::string_view expectation_of(const Parser& parser) {
  const auto& message = parser.get();
  const auto value = message[beast::http::field::expect];
  return message.version() >= 11 ? std::string_view(value.data(), value.size()) : std::string_view();
}

bool is_wait_for_word(std::string_view expectation) { return beast::iequals(expectation, "100-continue"); }

template <class Parser>
bool has_body(const Parser& parser) {
  return parser.chunked() || parser.content_length().value_or(0) > 0;
}

// With any transfer encoding but chunked alone nobody can say where the body ends: what one reads as the body of a
// request, another (a proxy before us) may take for the next one.
template <class Parser>
bool is_end_known(const Parser& parser) {
  const auto& message = parser.get();
  const auto num_encodings = message.count(beast::http::field::transfer_encoding);
  const auto encoding = message[beast::http::field::transfer_encoding];
  return num_encodings == 0 || (num_encodings == 1 && message.version() == 11 && beast::iequals(encoding, "chunked"));
}

bool is_json(std::string_view content_type) {
  const std::string_view type = content_type.substr(0, content_type.find_first_of("; \t"));
  constexpr std::string_view kJson = "application/json";
  return type.size() == kJson.size() && std::equal(type.begin(), type.end(), kJson.begin(),
                                                   [](unsigned char a, char b) { return std::tolower(a) == b; });
}

// No coding was applied to the body, or the one that stands for none.
bool is_plain(std::string_view encoding) { return encoding.empty() || beast::iequals(encoding, "identity"); }

// What the route does not know in the query of the target is refused, as in bodies.
ApiResult<Parameters> query_for(const Route& route, std::string_view target) {
  if (route.ignores_query) return Parameters{};
  RETORT_API_ASSIGN(Parameters query, query_of_target(target));
  if (route.takes_query) return query;
  for (const auto& [name, value] : query)
    if (std::ranges::find(route.ignored_query, name) == route.ignored_query.end())
      return refuse(400, fmt::format("unknown query parameter '{}'", name), name, "unknown_parameter");
  return query;
}

// Other sites' pages may make a browser send a request without a body, or of a type that needs no preflight; it names
// them as its origin.
template <class Parser>
bool needs_no_type(const Route& route, const Parser& parser) {
  return (route.any_type || (route.without_body && !has_body(parser))) &&
         parser.get().count(beast::http::field::origin) == 0;
}

}  // namespace

Session::Session(Stream stream, std::string peer, Service& service, std::string last_words)
    : stream_(std::move(stream)),
      peer_(std::move(peer)),
      service_(service),
      last_words_(std::move(last_words)),
      buffer_(service.limits.max_header_bytes + kReadBytes),
      deadline_(stream_.get_executor()) {
  service_.sessions.insert(this);
  if (!last_words_.empty()) ++service_.num_turned_away;
}

Session::~Session() {
  service_.sessions.erase(this);
  if (!last_words_.empty()) --service_.num_turned_away;
}

void Session::start(Stream stream, std::string peer, Service& service, std::string last_words) {
  auto session =
      std::shared_ptr<Session>(new Session(std::move(stream), std::move(peer), service, std::move(last_words)));
  asio::co_spawn(session->executor(), session->run(), [session](const std::exception_ptr& error) {
    session->disarm();
    ErrorCode ignored;
    session->stream_.socket().close(ignored);
    if (error == nullptr) return;
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& e) {
      log::error("connection of {} ended by a fault: {}", session->peer_, e.what());
    }
  });
}

asio::awaitable<void> Session::run() {
  const bool is_open = co_await shake_hands();
  if (is_open) {
    co_await serve();
    co_await say_goodbye();
  }
}

asio::awaitable<bool> Session::shake_hands() {
  if (!stream_.is_encrypted()) co_return true;
  arm(service_.limits.header_timeout);
  const auto [error] = co_await stream_.async_handshake(kAwait);
  disarm();
  if (error) log::debug("TLS handshake of {} failed: {}", peer_, error.message());
  co_return !error;
}

asio::awaitable<void> Session::serve() {
  if (!last_words_.empty()) {
    lingers_ = true;
    std::string bytes = last_words_;
    co_await write(std::move(bytes));
    co_return;
  }
  while (true) {
    const bool goes_on = co_await serve_one();
    is_first_request_ = false;
    if (!goes_on || is_peer_gone_ || !stream_.socket().is_open()) break;
  }
}

asio::awaitable<bool> Session::serve_one() {
  const ErrorCode first = co_await wait_for_first_byte();
  if (first) co_return false;

  Parser parser;
  parser.header_limit(static_cast<std::uint32_t>(service_.limits.max_header_bytes));
  parser.body_limit(service_.limits.max_body_bytes);
  ErrorCode error = co_await read_header(parser);
  if (error == beast::http::error::end_of_stream || is_peer_gone_) co_return false;
  Request request = to_request(parser);
  const Router::Match match = service_.router.match(request.method, request.path);
  if (error) {
    Response response = refusal(request, error_of(error));
    co_await refuse_unread(std::move(request), std::move(response), match.route);
    co_return false;
  }

  Claim claim(service_);
  auto admitted = admit(parser, match, request, claim);
  if (!admitted && has_body(parser)) {
    co_await refuse_unread(std::move(request), std::move(admitted).error(), match.route);
    co_return false;
  }
  if (admitted) error = co_await read_body(parser, claim);
  if (is_peer_gone_) co_return false;
  if (error) {
    Response response = refusal(request, error_of(error));
    co_await refuse_unread(std::move(request), std::move(response), match.route);
    co_return false;
  }
  request.body = std::move(parser.get().body());
  Exchange exchange(*this, std::move(request), match.route);
  add_cors_headers(exchange);
  if (!parser.keep_alive()) exchange.close_after();
  if (admitted)
    co_await answer(exchange, *match.route);
  else
    co_await refuse(exchange, std::move(admitted).error());
  co_return exchange.keep_alive() && !service_.is_draining;
}

asio::awaitable<Session::ErrorCode> Session::wait_for_first_byte() {
  if (buffer_.size() > 0) co_return ErrorCode();
  arm(is_first_request_ ? service_.limits.header_timeout : service_.limits.idle_timeout);
  auto area = buffer_.prepare(std::min(kReadBytes, buffer_.max_size()));
  const auto [error, size] = co_await stream_.async_read_some(area, kAwait);
  disarm();
  buffer_.commit(size);
  co_return error;
}

asio::awaitable<Session::ErrorCode> Session::read_header(Parser& parser) {
  arm(service_.limits.header_timeout);
  const auto [error, size] = co_await beast::http::async_read_header(stream_, buffer_, parser, kAwait);
  disarm();
  if (is_timed_out_) co_return beast::error::timeout;
  if (!error && !is_end_known(parser)) co_return beast::http::error::bad_transfer_encoding;
  co_return error;
}

asio::awaitable<Session::ErrorCode> Session::read_body(Parser& parser, Claim& claim) {
  if (is_wait_for_word(expectation_of(parser)) && !parser.is_done()) {
    std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    co_await write(std::move(go_on));
  }
  const auto start = std::chrono::steady_clock::now();
  int64_t received = 0;
  while (!parser.is_done()) {
    const auto end = start + service_.limits.header_timeout + received * 1000ms / kBodyBytesPerSecond;
    arm(std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()));
    const auto [error, size] = co_await beast::http::async_read_some(stream_, buffer_, parser, kAwait);
    disarm();
    if (is_timed_out_) co_return beast::error::timeout;
    if (error) co_return error;
    received += static_cast<int64_t>(size);
    if (!claim.take_bytes(size)) co_return asio::error::no_memory;
  }
  co_return ErrorCode();
}

Request Session::to_request(const Parser& parser) const {
  const auto& message = parser.get();
  Request request;
  request.method = to_string(message.method_string());
  request.path = path_of_target(to_string(message.target())).value_or("");
  for (const auto& field : message)
    request.headers.emplace_back(to_string(field.name_string()), to_string(field.value()));
  const std::string_view id = request.header("x-request-id");
  request.id = is_sane_request_id(id) ? std::string(id) : make_request_id();
  request.is_http10 = message.version() == 10;
  return request;
}

tl::expected<void, Response> Session::admit(const Parser& parser, const Router::Match& match, Request& request,
                                            Claim& claim) const {
  const auto no = [&](int status, std::string message) {
    return tl::unexpected<Response>(refusal(request, {.status = status, .message = std::move(message)}));
  };
  const std::string target = to_string(parser.get().target());
  if (request.path.empty()) return no(400, "the request target is not a valid path");
  if (request.count("Host") != 1 && !(request.is_http10 && request.count("Host") == 0))
    return no(400, "expected one Host header");
  // Health probes of HTTP/1.0 send none; browsers, which is whom the check is against, always do.
  std::vector<std::string> hosts;
  if (request.count("Host") == 1) hosts.emplace_back(request.header("Host"));
  if (std::string host = authority_of_target(target); !host.empty()) hosts.push_back(std::move(host));
  for (const std::string& host : hosts)
    if (!service_.guard.is_host_allowed(host))
      return no(403, fmt::format("the Host '{}' is not served here; --allowed-hosts names others", host));
  if (auto preflight = service_.guard.preflight(request)) return tl::unexpected<Response>(std::move(*preflight));

  const bool is_public = match.route != nullptr && match.route->access == Access::kPublic;
  request.key = service_.guard.key_of(request);
  if (!is_public && service_.guard.asks_for_key() && !request.key) {
    Response response =
        refusal(request, {.status = 401,
                          .message = "a valid API key is needed: send it as 'Authorization: Bearer KEY'",
                          .code = "invalid_api_key"});
    response.headers.emplace_back("WWW-Authenticate", "Bearer");
    return tl::unexpected<Response>(std::move(response));
  }
  if (match.route == nullptr) return tl::unexpected<Response>(not_served(match, request));
  if (const std::string_view expects = expectation_of(parser); !expects.empty() && !is_wait_for_word(expects))
    return no(417, fmt::format("Expect: expected 100-continue or nothing, got '{}'", expects));
  auto query = query_for(*match.route, target);
  if (!query) return tl::unexpected<Response>(refusal(request, query.error()));
  request.query = std::move(*query);
  if (const std::string_view encoding = request.header("Content-Encoding"); has_body(parser) && !is_plain(encoding)) {
    Response response = refusal(request, {.status = 415,
                                          .message = fmt::format("Content-Encoding: expected none, got '{}': bodies "
                                                                 "are read as they come",
                                                                 encoding)});
    response.headers.emplace_back("Accept-Encoding", "identity");
    return tl::unexpected<Response>(std::move(response));
  }
  if (request.method == "POST" && !is_json(request.header("Content-Type")) && !needs_no_type(*match.route, parser))
    return no(415, fmt::format("Content-Type: expected application/json, got '{}'", request.header("Content-Type")));
  if (parser.content_length().value_or(0) > service_.limits.max_body_bytes)
    return tl::unexpected<Response>(refusal(request, error_of(beast::http::error::body_limit)));
  if (request.method == "POST" && request.key && !claim.take_place(*request.key)) {
    if (service_.on_key_limit) service_.on_key_limit();
    return tl::unexpected<Response>(
        refusal(request, {.status = 429,
                          .message = fmt::format("this API key has {} requests under way, as many as it may",
                                                 service_.limits.max_requests_per_key),
                          .retry_after = 1}));
  }
  return {};
}

Response Session::refusal(const Request& request, const ApiError& error) const {
  return error_response(error, service_.router.error_body(request.path)(error));
}

// A route's answer to what it does not serve.
Response Session::not_served(const Router::Match& match, const Request& request) const {
  if (match.allowed_methods.empty())
    return refusal(request, {.status = 404, .message = fmt::format("no such path: {}", request.path)});
  Response response = refusal(
      request, {.status = 405,
                .message = fmt::format("{} allows {}, not {}", request.path, match.allowed_methods, request.method)});
  response.headers.emplace_back("Allow", match.allowed_methods);
  return response;
}

ApiError Session::error_of(ErrorCode error) const {
  ApiError answer{.status = 400, .message = fmt::format("malformed HTTP request: {}", error.message())};
  if (error == beast::http::error::body_limit) {
    answer.status = 413;
    answer.message = fmt::format("the body is larger than {} bytes", service_.limits.max_body_bytes);
  } else if (error == beast::http::error::header_limit || error == beast::http::error::buffer_overflow) {
    answer.status = 431;
    answer.message = fmt::format("the header is larger than {} bytes", service_.limits.max_header_bytes);
  } else if (error == asio::error::no_memory) {
    answer.status = 503;
    answer.message = fmt::format("the requests under way hold {} bytes already", service_.held_body_bytes);
    answer.retry_after = 1;
  } else if (error == beast::error::timeout) {
    answer.status = 408;
    answer.message = "the request did not arrive in time";
  }
  return answer;
}

void Session::add_cors_headers(Exchange& exchange) const {
  for (auto& [name, value] : service_.guard.cors_headers(exchange.request())) exchange.add_header(name, value);
}

asio::awaitable<void> Session::refuse_unread(Request request, Response response, const Route* route) {
  Exchange exchange(*this, std::move(request), route);
  exchange.close_after();
  add_cors_headers(exchange);
  lingers_ = true;
  co_await refuse(exchange, std::move(response));
}

asio::awaitable<void> Session::refuse(Exchange& exchange, Response response) {
  log::debug("{} refused with {}: {}", peer_, response.status, response.body);
  co_await exchange.respond(std::move(response));
  count_answer(exchange);
}

asio::awaitable<void> Session::say_goodbye() {
  if (is_peer_gone_) co_return;
  is_ending_ = true;
  arm(lingers_ ? kLingerTime : kGoodbyeTime);
  if (stream_.is_encrypted()) co_await stream_.async_shutdown(kAwait);
  ErrorCode ignored;
  stream_.socket().shutdown(Socket::shutdown_send, ignored);
  buffer_.clear();
  for (size_t dropped = 0; lingers_ && !is_timed_out_ && dropped < kLingerBytes;) {
    auto area = buffer_.prepare(kReadBytes);
    const auto [error, size] = co_await stream_.socket().async_read_some(area, kAwait);
    if (error) break;
    dropped += size;
  }
  disarm();
}

asio::awaitable<void> Session::answer(Exchange& exchange, const Route& route) {
  count_exchange(+1);
  watch_peer();
  co_await run_handler(exchange, route);
  stop_watching();
  log_answer(exchange, route);
  count_answer(exchange);
  count_exchange(-1);
}

void Session::log_answer(const Exchange& exchange, const Route& route) const {
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - exchange.arrival()).count();
  const Request& request = exchange.request();
  const auto level = route.access == Access::kPublic ? spdlog::level::debug : spdlog::level::info;
  spdlog::log(level, "{} {} {} {}{:.3f} s{} [{}] {}", request.method, printable(request.path), status_of(exchange),
              exchange.note.empty() ? "" : printable(exchange.note) + ", ", seconds,
              is_peer_gone_ && !exchange.is_complete() ? ", client left" : "", peer_, request.id);
}

void Session::count_answer(const Exchange& exchange) const {
  const Route* route = exchange.route();
  if (service_.on_answer)
    service_.on_answer(exchange.request().method, route != nullptr ? route->path : "", status_of(exchange));
}

void Session::count_exchange(int change) {
  service_.num_exchanges += change;
  if (service_.on_exchange_change) service_.on_exchange_change();
}

asio::awaitable<void> Session::run_handler(Exchange& exchange, const Route& route) {
  std::string fault;
  try {
    co_await route.handler(exchange);
  } catch (const std::exception& e) {
    fault = e.what();
  }
  if (fault.empty() && exchange.has_started()) co_return;
  if (is_peer_gone_) co_return;
  log::error("{} {} [{}]: {}", exchange.request().method, printable(exchange.request().path), exchange.request().id,
             fault.empty() ? "the handler gave no answer" : fault);
  exchange.close_after();
  if (exchange.has_started()) co_return;  // the answer ends in its middle, and the closed connection says so
  Response response = refusal(exchange.request(), {.status = 500, .message = "internal error"});
  co_await exchange.respond(std::move(response));
}

asio::awaitable<void> Session::write(std::string bytes) {
  size_t written = 0;
  is_writing_ = true;
  while (written < bytes.size() && !is_peer_gone_) {
    arm(service_.limits.idle_timeout);
    const asio::const_buffer rest = asio::buffer(bytes) + written;
    const auto [error, size] = co_await stream_.async_write_some(rest, kAwait);
    disarm();
    written += size;
    if (error || is_timed_out_) peer_left();
  }
  is_writing_ = false;
  if (std::exchange(has_unread_, false) && !is_peer_gone_) read_ahead();
}

void Session::arm(std::chrono::milliseconds time) {
  is_timed_out_ = false;
  ++arm_epoch_;
  deadline_.expires_after(time);
  cancel_at_deadline();
}

void Session::cancel_at_deadline() {
  deadline_.async_wait([self = shared_from_this(), epoch = arm_epoch_](ErrorCode error) {
    if (error || epoch != self->arm_epoch_) return;
    self->is_timed_out_ = true;
    ErrorCode ignored;
    self->stream_.socket().cancel(ignored);
    self->deadline_.expires_after(kNextCancel);  // what takes several steps may just have been between two of them
    self->cancel_at_deadline();
  });
}

void Session::disarm() {
  ++arm_epoch_;
  deadline_.cancel();
}

void Session::watch_peer() {
  stream_.socket().async_wait(Socket::wait_read, [self = shared_from_this(), epoch = watch_epoch_](ErrorCode error) {
    if (!error && epoch == self->watch_epoch_) self->read_ahead();
  });
}

// What the peer sends while a handler works is the next request, kept for later; or its end.
void Session::read_ahead() {
  has_unread_ = is_writing_;
  if (is_writing_) return;
  const size_t room = std::min(kReadBytes, buffer_.max_size() - buffer_.size());
  if (room == 0) return;  // full of pipelined requests: that the peer left shows when it is written to
  ErrorCode error;
  stream_.socket().non_blocking(true, error);
  const size_t size = stream_.read_some(buffer_.prepare(room), error);
  if (error && error != asio::error::would_block) return peer_left();
  buffer_.commit(size);
  watch_peer();
}

void Session::stop_watching() {
  ++watch_epoch_;
  has_unread_ = false;
  ErrorCode ignored;
  stream_.socket().cancel(ignored);
}

void Session::peer_left() {
  is_peer_gone_ = true;
  if (const auto callback = std::exchange(on_peer_gone_, {})) callback();
}

void Session::close() {
  if (is_ending_) return;  // soon, by itself
  ErrorCode ignored;
  stream_.socket().close(ignored);
  disarm();
  peer_left();
}

}  // namespace retort::http
