// The HTTP layer over real sockets, with handlers that have no model behind them.
#include "server/http/session.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <future>
#include <thread>

#include "../base/log_capture.h"
#include "../base/sanitized.h"
#include "client.h"
#include "server/http/listener.h"

namespace retort::http {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using testing::body_of;
using testing::Client;
using testing::kSanitized;
using testing::status_of;

asio::awaitable<void> echo(Exchange& exchange) {
  Response response{.content_type = "text/plain", .body = exchange.take_body()};
  co_await exchange.respond(std::move(response));
}

asio::awaitable<void> stream(Exchange& exchange) {
  std::string type = "text/plain";
  co_await exchange.start_stream(std::move(type));
  for (int i = 0; i < 3; ++i) {
    std::string piece = fmt::format("piece {}\n", i);
    co_await exchange.write(std::move(piece));
  }
  co_await exchange.finish_stream();
}

asio::awaitable<void> fail_now(Exchange&) {
  throw std::runtime_error("on purpose");
  co_return;
}

// Works until the client leaves.
struct Waiter {
  std::atomic<int> num_waiting{0}, num_left{0};

  asio::awaitable<void> wait(Exchange& exchange) {
    asio::steady_timer bell(exchange.executor(), std::chrono::steady_clock::time_point::max());
    exchange.on_client_gone([&] { bell.cancel(); });
    ++num_waiting;
    co_await bell.async_wait(asio::as_tuple(asio::use_awaitable));
    exchange.on_client_gone({});
    ++num_left;
  }
};

// Sends without end.
asio::awaitable<void> flood(Exchange& exchange) {
  std::string type = "text/plain";
  co_await exchange.start_stream(std::move(type));
  while (!exchange.is_client_gone()) {
    std::string piece(1 << 20, 'x');
    co_await exchange.write(std::move(piece));
  }
}

class SessionTest : public ::testing::Test {
 protected:
  void start(const Limits& limits = {}, const GuardOptions& guard = {}) {
    spdlog::set_level(spdlog::level::off);
    service_.limits = limits;
    service_.guard = Guard(guard);
    service_.router.add({"POST", "/echo", Access::kKey, echo});
    service_.router.add({"GET", "/get", Access::kKey, echo});
    service_.router.add({"GET", "/public", Access::kPublic, echo});
    service_.router.add({"GET", "/stream", Access::kKey, stream});
    service_.router.add({"GET", "/drain", Access::kKey, [this](Exchange& exchange) {
                           service_.is_draining = true;
                           return echo(exchange);
                         }});
    service_.router.add({"GET", "/fail", Access::kKey, fail_now});
    service_.router.add({"GET", "/flood", Access::kKey, flood});
    service_.router.add({"POST", "/wait", Access::kKey, [this](Exchange& exchange) { return waiter_.wait(exchange); }});
    auto listener = Listener::bind(io_, "127.0.0.1", 0);
    ASSERT_TRUE(listener) << listener.error().message;
    listener_ = std::move(*listener);
    port_ = listener_->address().port();
    listener_->start(service_);
    thread_ = std::thread([this] { io_.run(); });
  }

  void TearDown() override {
    if (!thread_.joinable()) return;
    asio::post(io_, [this] {
      listener_->close();
      service_.is_draining = true;
      for (Session* session : service_.sessions) session->close();
    });
    thread_.join();
    EXPECT_TRUE(service_.sessions.empty());
    EXPECT_EQ(service_.num_exchanges, 0);
  }

  std::string ask(std::string_view bytes) {
    Client client(port_);
    client.send(bytes);
    return client.read_answer();
  }
  static std::string post(std::string_view path, std::string_view body, std::string_view more = "") {
    return fmt::format(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{}Content-Length: {}\r\n\r\n{}", path,
        more, body.size(), body);
  }
  static std::string get(std::string_view path, std::string_view more = "") {
    return fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", path, more);
  }
  size_t num_sessions() {
    std::promise<size_t> count;
    asio::post(io_, [&] { count.set_value(service_.sessions.size()); });
    return count.get_future().get();
  }

  asio::io_context io_{1};
  Service service_{.limits = {}, .guard = Guard({})};
  Waiter waiter_;
  std::unique_ptr<Listener> listener_;
  uint16_t port_ = 0;
  std::thread thread_;
};

template <class Condition>
bool comes_true(Condition condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

TEST_F(SessionTest, AnswersAndKeepsTheConnection) {
  start();
  Client client(port_);
  for (const char* body : {"one", "", "three"}) {
    client.send(post("/echo", body));
    const std::string answer = client.read_answer();
    EXPECT_EQ(status_of(answer), 200);
    EXPECT_EQ(body_of(answer), body);
    EXPECT_NE(answer.find("x-request-id: "), std::string::npos);
    EXPECT_NE(answer.find("Connection: keep-alive"), std::string::npos);
  }
}

TEST_F(SessionTest, SaysThatItClosesAlsoWhereItBeganToDrainMeanwhile) {
  start();
  Client client(port_);
  client.send(get("/drain"));
  EXPECT_NE(client.read_answer().find("Connection: close"), std::string::npos);
  EXPECT_TRUE(client.is_closed());
}

TEST_F(SessionTest, AnswersPipelinedRequestsInOrder) {
  start();
  Client client(port_);
  std::string requests;
  for (int i = 0; i < 50; ++i) requests += post("/echo", std::to_string(i));
  client.send(requests);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(body_of(client.read_answer()), std::to_string(i));
}

TEST_F(SessionTest, TakesRequestsThatComeByteForByte) {
  start();
  Client client(port_);
  for (const char byte : post("/echo", "slow")) client.send({&byte, 1});
  EXPECT_EQ(body_of(client.read_answer()), "slow");
}

TEST_F(SessionTest, ReadsChunkedBodies) {
  start();
  EXPECT_EQ(body_of(ask("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                        "application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")),
            "abcde");
}

TEST_F(SessionTest, RefusesBodiesWhoseEndIsNotSure) {
  start();
  for (const char* encoding :
       {"gzip", "identity", "chunked, gzip", "gzip, chunked", "chunked\r\nTransfer-Encoding: x"}) {
    Client client(port_);
    client.send(
        fmt::format("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: "
                    "{}\r\n\r\n0\r\n\r\n{}",
                    encoding, get("/get")));
    EXPECT_EQ(status_of(client.read_answer()), 400) << encoding;
    EXPECT_EQ(client.read_to_end(), "") << "what follows is taken for no request";
  }
}

TEST_F(SessionTest, StreamsInChunksOrToTheEndOfTheConnection) {
  start();
  Client client(port_);
  client.send(get("/stream"));
  const std::string answer = client.read_until("\r\n0\r\n\r\n");
  EXPECT_NE(answer.find("Transfer-Encoding: chunked"), std::string::npos);
  EXPECT_NE(answer.find("8\r\npiece 0\n\r\n8\r\npiece 1\n"), std::string::npos);
  client.send(get("/get"));
  EXPECT_EQ(status_of(client.read_answer()), 200) << "the connection goes on";

  Client old(port_);
  old.send("GET /stream HTTP/1.0\r\n\r\n");
  EXPECT_EQ(body_of(old.read_to_end()), "piece 0\npiece 1\npiece 2\n");
}

TEST_F(SessionTest, AnswersHeadWithoutABody) {
  start();
  Client client(port_);
  client.send("HEAD /fail HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const std::string head = client.read_to_end();
  EXPECT_EQ(status_of(head), 500);
  EXPECT_EQ(body_of(head), "");
}

TEST_F(SessionTest, CallsTheClientsRequestIdItsOwn) {
  start();
  EXPECT_NE(ask(get("/get", "x-request-id: mine-1\r\n")).find("x-request-id: mine-1\r\n"), std::string::npos);
  EXPECT_EQ(ask(get("/get", "x-request-id: not mine\r\n")).find("not mine"), std::string::npos);
}

TEST_F(SessionTest, ClosesWhenAskedTo) {
  start();
  Client client(port_);
  client.send(get("/get", "Connection: close\r\n"));
  EXPECT_NE(client.read_answer().find("Connection: close"), std::string::npos);
  EXPECT_TRUE(client.is_closed());
}

TEST_F(SessionTest, RefusesInTheErrorShape) {
  start();
  EXPECT_EQ(status_of(ask(get("/nowhere"))), 404);
  const std::string wrong_method = ask(get("/echo"));
  EXPECT_EQ(status_of(wrong_method), 405);
  EXPECT_NE(wrong_method.find("Allow: POST\r\n"), std::string::npos);
  EXPECT_EQ(status_of(ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")), 415);
  EXPECT_EQ(status_of(ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}")),
            415);
  EXPECT_EQ(status_of(ask("GET /get HTTP/1.1\r\n\r\n")), 400);
  EXPECT_EQ(status_of(ask("GET /get HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")), 400);
  EXPECT_EQ(status_of(ask(get("/%zz"))), 400);
  const std::string garbage = ask("\x16\x03\x01 certainly not HTTP\r\n\r\n");
  EXPECT_EQ(status_of(garbage), 400);
  EXPECT_TRUE(body_of(garbage).starts_with(R"({"error":{"message":"malformed HTTP request: )")) << garbage;
  EXPECT_NE(garbage.find("x-request-id: "), std::string::npos);
}

TEST_F(SessionTest, RefusesAQueryThatNobodyReads) {
  service_.router.add({.method = "POST", .path = "/reads", .handler = echo, .takes_query = true});
  service_.router.add({.method = "POST", .path = "/ignores", .handler = echo, .ignored_query = {"beta"}});
  service_.router.add({.method = "GET", .path = "/page", .handler = echo, .ignores_query = true});
  start();
  for (const std::string& request :
       {get("/get?x=1"), get("/public?x=1"), post("/echo?x=1", "{}"), post("/ignores?beta=true&x=1", "{}")}) {
    const std::string answer = ask(request);
    EXPECT_EQ(status_of(answer), 400) << request;
    EXPECT_NE(body_of(answer).find("unknown query parameter 'x'"), std::string::npos) << answer;
  }
  EXPECT_EQ(status_of(ask(get("/get?"))), 200) << "an empty one asks for nothing";
  EXPECT_EQ(status_of(ask(post("/reads?x=1", "{}"))), 200);
  EXPECT_EQ(status_of(ask(post("/ignores?beta=true", "{}"))), 200);
  EXPECT_EQ(status_of(ask(post("/reads?x=%ff", "{}"))), 400);
  EXPECT_EQ(status_of(ask(get("/page?utm_source=x&x=%ff"))), 200);
}

TEST_F(SessionTest, RefusesCodedBodies) {
  start();
  EXPECT_EQ(status_of(ask(post("/echo", "{}", "Content-Encoding: identity\r\n"))), 200);
  const std::string answer = ask(post("/echo", "{}", "Content-Encoding: gzip\r\n"));
  EXPECT_EQ(status_of(answer), 415);
  EXPECT_NE(answer.find("Accept-Encoding: identity\r\n"), std::string::npos);
  EXPECT_NE(body_of(answer).find("Content-Encoding: expected none, got 'gzip'"), std::string::npos) << answer;
}

TEST_F(SessionTest, CountsARefusalUnderTheRouteThatWasAskedFor) {
  std::atomic<int> num_of_echo{0}, num_of_none{0}, num_of_wait{0}, num_over_limit{0};
  service_.on_answer = [&](std::string_view, std::string_view handler, int status) {
    EXPECT_GE(status, 400) << handler;
    ++(handler == "/echo" ? num_of_echo : handler == "/wait" ? num_of_wait : num_of_none);
  };
  service_.on_key_limit = [&] { ++num_over_limit; };
  start({.max_body_bytes = 1000, .header_timeout = 200ms, .max_requests_per_key = 1},
        {.api_keys = {"k"}, .check_host = true});
  const std::string key = "Authorization: Bearer k\r\n", big(2000, 'x');
  ask(post("/echo", "{}"));
  ask("POST /echo HTTP/1.1\r\nHost: evil.example\r\n\r\n");
  ask(fmt::format("POST /echo HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: 2\r\n\r\n{{}}", key));
  ask(post("/echo", big, key));
  ask(
      fmt::format("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{}"
                  "Transfer-Encoding: chunked\r\n\r\n7d0\r\n{}\r\n0\r\n\r\n",
                  key, big));
  EXPECT_TRUE(comes_true([&] { return num_of_echo == 5; })) << num_of_echo << "; " << num_of_none;
  EXPECT_EQ(num_of_none, 0);
  ask(get("/nowhere", key));
  ask(get("/echo", key));
  EXPECT_TRUE(comes_true([&] { return num_of_none == 2; }));
  EXPECT_EQ(num_over_limit, 0);
  Client first(port_);
  first.send(post("/wait", "{}", key));
  ASSERT_TRUE(comes_true([&] { return waiter_.num_waiting == 1; }));
  EXPECT_EQ(status_of(ask(post("/echo", "{}", key))), 429);
  EXPECT_TRUE(comes_true([&] { return num_of_echo == 6; }));
  EXPECT_EQ(num_over_limit, 1);
  first.close();
  EXPECT_TRUE(comes_true([&] { return num_of_wait == 1; }));
}

TEST_F(SessionTest, GoesOnAfterARefusalThatHadNoBody) {
  start();
  Client client(port_);
  client.send(get("/nowhere"));
  EXPECT_EQ(status_of(client.read_answer()), 404);
  client.send(get("/get"));
  EXPECT_EQ(status_of(client.read_answer()), 200);
}

TEST_F(SessionTest, LimitsBodiesHoweverTheyCome) {
  start({.max_body_bytes = 1000});
  EXPECT_EQ(status_of(ask(post("/echo", std::string(1000, 'x')))), 200);
  Client declared(port_);
  declared.send(post("/echo", std::string(4 << 20, 'x')));  // the client sends all of it before it reads
  const std::string answer = declared.read_answer();
  EXPECT_EQ(status_of(answer), 413);
  EXPECT_NE(body_of(answer).find("the body is larger than 1000 bytes"), std::string::npos);
  EXPECT_TRUE(declared.is_closed());
  std::string chunked =
      "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 20; ++i) chunked += "64\r\n" + std::string(100, 'x') + "\r\n";
  EXPECT_EQ(status_of(ask(chunked + "0\r\n\r\n")), 413);
}

TEST_F(SessionTest, AsksForTheBodyOnlyWhenItWouldTakeIt) {
  start({.max_body_bytes = 10});
  Client good(port_);
  good.send(
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\nExpect: "
      "100-Continue\r\n\r\n");
  EXPECT_EQ(good.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  good.send("{}");
  EXPECT_EQ(body_of(good.read_answer()), "{}");
  Client big(port_);
  big.send(
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 11\r\nExpect: "
      "100-continue\r\n\r\n");
  EXPECT_EQ(status_of(big.read_answer()), 413);
}

TEST_F(SessionTest, KnowsNoOtherExpectation) {
  start();
  for (const std::string& request :
       {post("/echo", "{}", "Expect: a-miracle\r\n"), get("/get", "Expect: a-miracle\r\n")}) {
    const std::string answer = ask(request);
    EXPECT_EQ(status_of(answer), 417);
    EXPECT_NE(body_of(answer).find("Expect: expected 100-continue or nothing, got 'a-miracle'"), std::string::npos);
  }
  EXPECT_EQ(status_of(ask("GET /get HTTP/1.0\r\nExpect: a-miracle\r\n\r\n")), 200) << "it had none";
}

class LoggedSessionTest : public SessionTest {
 protected:
  size_t num_lines(std::string_view begin) const {
    const std::string text = "\n" + log_.text(), mark = fmt::format("\n{}", begin);
    size_t num = 0;
    for (size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + 1)) ++num;
    return num;
  }

  testing::LogCapture log_;
};

TEST_F(LoggedSessionTest, SaysOnceThatItCannotAccept) {
  if (kSanitized) GTEST_SKIP() << "UndefinedBehaviorSanitizer needs descriptors to check the types of objects";
  start();
  spdlog::set_level(spdlog::level::debug);
  Client served(port_);
  served.send(get("/get"));
  EXPECT_EQ(status_of(served.read_answer()), 200);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const int unused = ::dup(STDERR_FILENO);
  ::close(unused);
  const rlimit one_more{static_cast<rlim_t>(unused) + 1, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &one_more), 0);
  const Client waiting(port_);  // takes the last descriptor there is
  EXPECT_TRUE(comes_true([&] { return num_lines("debug: cannot accept a connection: ") >= 2; }));
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(num_lines("warning: cannot accept a connection: "), 1u) << log_.text();
}

TEST_F(SessionTest, LimitsHeaders) {
  start({.max_header_bytes = 2000});
  EXPECT_EQ(status_of(ask(get("/get", "X: " + std::string(1500, 'x') + "\r\n"))), 200);
  EXPECT_EQ(status_of(ask(get("/get", "X: " + std::string(3000, 'x') + "\r\n"))), 431);
  EXPECT_EQ(status_of(ask("GET /" + std::string(200'000, 'x'))), 431);
}

TEST_F(SessionTest, GivesUpOnSlowHeadersBodiesAndSilence) {
  start({.header_timeout = 200ms, .idle_timeout = 400ms});
  Client silent(port_);
  EXPECT_TRUE(silent.is_closed());
  Client half(port_);
  half.send("GET /get HTTP/1.1\r\nHost: lo");
  EXPECT_EQ(status_of(half.read_answer()), 408);
  EXPECT_TRUE(half.is_closed());
  Client half_body(port_);
  half_body.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{");
  EXPECT_EQ(status_of(half_body.read_answer()), 408);
  Client idle(port_);
  idle.send(get("/get"));
  EXPECT_EQ(status_of(idle.read_answer()), 200);
  EXPECT_TRUE(idle.is_closed());
  EXPECT_TRUE(comes_true([&] { return num_sessions() == 0; }));
}

TEST_F(SessionTest, DropsAReaderThatTakesNothing) {
  start({.idle_timeout = 300ms});
  Client client(port_);
  client.send(get("/flood"));
  EXPECT_TRUE(comes_true([&] { return num_sessions() == 1; }));
  EXPECT_TRUE(comes_true([&] { return num_sessions() == 0; }));
}

TEST_F(SessionTest, NoticesThatAClientLeavesWhileItWaits) {
  start();
  Client client(port_);
  client.send(post("/wait", "{}"));
  ASSERT_TRUE(comes_true([&] { return waiter_.num_waiting == 1; }));
  EXPECT_EQ(waiter_.num_left, 0);
  client.close();
  EXPECT_TRUE(comes_true([&] { return waiter_.num_left == 1; }));
}

TEST_F(SessionTest, TakesAPipelinedRequestForNoDeparture) {
  start();
  Client client(port_);
  client.send(post("/wait", "{}"));
  ASSERT_TRUE(comes_true([&] { return waiter_.num_waiting == 1; }));
  client.send(get("/get"));
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(waiter_.num_left, 0);
  client.close();
  EXPECT_TRUE(comes_true([&] { return waiter_.num_left == 1; }));
}

TEST_F(SessionTest, ReadsThePipelinedRequestAfterwards) {
  start();
  Client client(port_);
  client.send(get("/stream") + get("/get") + get("/stream"));
  client.read_until("\r\n0\r\n\r\n");
  EXPECT_EQ(status_of(client.read_answer()), 200);
  EXPECT_EQ(status_of(client.read_until("\r\n0\r\n\r\n")), 200);
}

TEST_F(SessionTest, TurnsAFaultOfTheHandlerInto500) {
  start();
  const std::string answer = ask(get("/fail"));
  EXPECT_EQ(status_of(answer), 500);
  EXPECT_EQ(body_of(answer),
            R"({"error":{"message":"internal error","type":"server_error","param":null,"code":null}})");
}

TEST_F(SessionTest, TurnsAwayConnectionsOverTheLimit) {
  std::atomic<int> num_turned_away{0};
  service_.on_answer = [&](std::string_view method, std::string_view handler, int status) {
    if (method.empty() && handler.empty() && status == 503) ++num_turned_away;
  };
  start({.max_connections = 2});
  Client first(port_), second(port_);
  ASSERT_TRUE(comes_true([&] { return num_sessions() == 2; }));
  {
    Client third(port_);
    const std::string answer = third.read_answer();
    EXPECT_EQ(status_of(answer), 503);
    EXPECT_NE(answer.find("Retry-After: "), std::string::npos);
  }
  EXPECT_EQ(num_turned_away, 1);
  first.close();
  ASSERT_TRUE(comes_true([&] { return num_sessions() == 1; }));
  EXPECT_EQ(status_of(ask(get("/get"))), 200);
}

TEST_F(SessionTest, LimitsTheBodiesOfAllRequestsTogether) {
  start({.max_held_body_bytes = 1000});
  Client first(port_);
  first.send(post("/wait", std::string(800, 'x')));
  ASSERT_TRUE(comes_true([&] { return waiter_.num_waiting == 1; }));
  EXPECT_EQ(status_of(ask(post("/echo", std::string(150, 'x')))), 200);
  const std::string refused = ask(post("/echo", std::string(300, 'x')));
  EXPECT_EQ(status_of(refused), 503);
  EXPECT_NE(refused.find("Retry-After: 1"), std::string::npos);
  EXPECT_NE(refused.find("the requests under way hold 800 bytes already"), std::string::npos);
  first.close();
  EXPECT_TRUE(comes_true([&] { return status_of(ask(post("/echo", std::string(900, 'x')))) == 200; }));
}

TEST_F(SessionTest, AsksForTheKeyBeforeAnythingElse) {
  start({}, {.api_keys = {"secret"}});
  for (const std::string& request :
       {get("/get"), get("/nowhere"), post("/echo", "{}"), get("/get", "Authorization: Bearer wrong\r\n")}) {
    const std::string answer = ask(request);
    EXPECT_EQ(status_of(answer), 401);
    EXPECT_NE(body_of(answer).find(R"("code":"invalid_api_key")"), std::string::npos);
  }
  EXPECT_EQ(status_of(ask(get("/public"))), 200);
  EXPECT_EQ(status_of(ask(get("/get", "Authorization: Bearer secret\r\n"))), 200);
}

TEST_F(SessionTest, ServesOnlyLoopbackNamesWhenToldTo) {
  start({}, {.check_host = true});
  EXPECT_EQ(status_of(ask(get("/get"))), 200);
  EXPECT_EQ(status_of(ask("GET /public HTTP/1.1\r\nHost: evil.example\r\n\r\n")), 403);
  EXPECT_EQ(status_of(ask("GET /public HTTP/1.0\r\nHost: evil.example\r\n\r\n")), 403);
  EXPECT_EQ(status_of(ask("GET /public HTTP/1.0\r\n\r\n")), 200);
  EXPECT_EQ(status_of(ask("GET http://localhost/public HTTP/1.1\r\nHost: localhost\r\n\r\n")), 200);
  EXPECT_EQ(status_of(ask("GET http://evil.example/public HTTP/1.1\r\nHost: localhost\r\n\r\n")), 403);
  EXPECT_EQ(status_of(ask("GET http://localhost/public HTTP/1.1\r\nHost: evil.example\r\n\r\n")), 403);
  EXPECT_EQ(status_of(ask("GET http://evil.example/public HTTP/1.0\r\n\r\n")), 403);
}

TEST_F(SessionTest, AddsCorsHeadersToAnswersAndRefusals) {
  start({}, {.api_keys = {"k"}, .allowed_origins = {"http://app.example"}});
  const std::string origin = "Origin: http://app.example\r\n";
  EXPECT_NE(ask(get("/public", origin)).find("Access-Control-Allow-Origin: http://app.example"), std::string::npos);
  EXPECT_NE(ask(get("/get", origin)).find("Access-Control-Allow-Origin: http://app.example"), std::string::npos);
  EXPECT_EQ(ask(get("/public", "Origin: http://other.example\r\n")).find("Access-Control"), std::string::npos);
  const std::string preflight =
      ask("OPTIONS /echo HTTP/1.1\r\nHost: x\r\n" + origin + "Access-Control-Request-Method: POST\r\n\r\n");
  EXPECT_EQ(status_of(preflight), 204);
  EXPECT_NE(preflight.find("Access-Control-Allow-Origin: http://app.example"), std::string::npos);
}

}  // namespace
}  // namespace retort::http
