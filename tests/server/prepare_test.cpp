#include "server/prepare.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/post.hpp>
#include <functional>
#include <future>
#include <latch>
#include <thread>

#include "client.h"
#include "server/http/listener.h"
#include "server/http/session.h"

namespace retort {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using testing::Client;
using testing::status_of;

constexpr std::string_view kPost =
    "POST /work HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

// A service whose requests all wait on their worker until they are let through.
class PrepareTest : public ::testing::Test {
 protected:
  void SetUp() override {
    spdlog::set_level(spdlog::level::off);
    service_.router.add(
        {"POST", "/work", http::Access::kKey, [this](http::Exchange& exchange) { return work(exchange); }});
    service_.on_answer = [this](std::string_view, std::string_view, int status) { num_left_ += status == 499; };
    auto listener = http::Listener::bind(io_, "127.0.0.1", 0);
    ASSERT_TRUE(listener) << listener.error().message;
    listener_ = std::move(*listener);
    listener_->start(service_);
    thread_ = std::thread([this] { io_.run(); });
  }

  void TearDown() override {
    if (!gate_.try_wait()) gate_.count_down();
    asio::post(io_, [this] {
      listener_->close();
      service_.is_draining = true;
      for (http::Session* session : service_.sessions) session->close();
    });
    thread_.join();
  }

  asio::awaitable<void> work(http::Exchange& exchange) {
    const ApiResult<const ServedModel*> model = &model_;
    const auto prepare = [this](const ServedModel&, const Json&) -> ApiResult<int> {
      ++num_begun_;
      gate_.wait();
      if (throws_) throw std::runtime_error("on purpose");
      return 1;
    };
    if (!co_await prepare_request(api_, exchange, model, prepare)) co_return;
    http::Response response = http::json_response(Json::object());
    co_await exchange.respond(std::move(response));
  }

  template <class Value>
  Value on_io_thread(std::function<Value()> look) {
    std::promise<Value> value;
    asio::post(io_, [&] { value.set_value(look()); });
    return value.get_future().get();
  }
  bool becomes(const std::function<bool()>& condition) {
    for (int i = 0; i < 2000; ++i, std::this_thread::sleep_for(5ms))
      if (on_io_thread(condition)) return true;
    return false;
  }

  asio::io_context io_;
  http::Service service_{.limits = {}, .guard = http::Guard({})};
  ApiContext api_;
  ServedModel model_;
  std::latch gate_{1};
  std::atomic<bool> throws_ = false;
  std::atomic<int> num_begun_ = 0, num_left_ = 0;
  std::unique_ptr<http::Listener> listener_;
  std::thread thread_;
};

TEST_F(PrepareTest, NobodyWaitsForWorkOfAClientThatHasLeft) {
  const uint16_t port = listener_->address().port();
  Client first(port), second(port), left(port);
  first.send(kPost);
  second.send(kPost);
  ASSERT_TRUE(becomes([this] { return num_begun_ == 2; })) << "both workers are taken";
  left.send(kPost);
  ASSERT_TRUE(becomes([this] { return api_.num_preparing == 3; }));
  left.close();
  ASSERT_TRUE(becomes([this] { return api_.num_preparing == 2 && num_left_ == 1; }));
  gate_.count_down();
  EXPECT_EQ(status_of(first.read_answer()), 200);
  EXPECT_EQ(status_of(second.read_answer()), 200);
  api_.workers.stop();
  EXPECT_EQ(num_begun_, 2);
}

TEST_F(PrepareTest, WhoWaitsWhenTheServerEndsIsToldSo) {
  const uint16_t port = listener_->address().port();
  Client first(port), second(port), third(port);
  for (const Client* client : {&first, &second, &third}) client->send(kPost);
  ASSERT_TRUE(becomes([this] { return num_begun_ == 2 && api_.num_preparing == 3; }));
  ASSERT_TRUE(becomes([this] { return api_.is_stopping = true; }));
  for (Client* client : {&third, &second, &first}) EXPECT_EQ(status_of(client->read_answer()), 503);
  gate_.count_down();
  api_.workers.stop();
  EXPECT_EQ(num_begun_, 2);
}

TEST_F(PrepareTest, TheTimeOfARequestCountsFromItsArrival) {
  const uint16_t port = listener_->address().port();
  ASSERT_TRUE(becomes([this] { return (api_.request_timeout = 50ms) > 0ms; }));
  Client first(port), second(port), third(port);
  for (Client* client : {&first, &second, &third}) {
    client->send(kPost);
    EXPECT_EQ(status_of(client->read_answer()), 408);
  }
  gate_.count_down();
  api_.workers.stop();
  EXPECT_EQ(num_begun_, 2);
}

TEST_F(PrepareTest, WorkThatThrowsIsAFaultOfTheServer) {
  throws_ = true;
  gate_.count_down();
  Client client(listener_->address().port());
  client.send(kPost);
  EXPECT_EQ(status_of(client.read_answer()), 500);
  EXPECT_EQ(on_io_thread<int>([this] { return api_.num_preparing; }), 0) << "its place in the queue is free again";
}

// In a process of its own, of a user who may have two threads. Neither ends with 0 nor hangs where that is not noticed.
[[noreturn]] void start_one_worker_too_many() {
  ::alarm(60);
  if (::getuid() == 0) EXPECT_EQ(::setuid(65534), 0);  // root is not bound by the limit
  const rlimit limit{.rlim_cur = 2, .rlim_max = 2};
  ::setrlimit(RLIMIT_NPROC, &limit);
  try {
    const TextWorkers workers(2);
  } catch (const std::system_error& error) {
    std::_Exit(error.code() == std::errc::resource_unavailable_try_again ? 0 : 1);
  }
  std::_Exit(2);
}

TEST(TextWorkersDeathTest, AThreadThatCannotStartIsAnError) {
  EXPECT_EXIT(start_one_worker_too_many(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace retort
