// How a job ends, over a socket, with the fake model behind it and a reply that can fail.
#include "server/reply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <thread>

#include "base/log.h"
#include "client.h"
#include "fake_model.h"
#include "server/http/listener.h"
#include "server/http/session.h"

namespace retort {
namespace {

using namespace std::chrono_literals;
using testing::Client;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::status_of;

// Three tokens of text, and an exception where it was told to throw one.
class FailingReply : public Reply {
 public:
  FailingReply(const ServedModel& model, const Job& job, std::string_view where) : Reply(model, job), where_(where) {}

  Json whole() override {
    fail_at("whole");
    return "whole";
  }
  std::string chunks() override {
    if (num_chunks_++ > 0) fail_at("chunks");
    return "chunk\n";
  }
  std::string last_chunks() override {
    fail_at("last");
    return "last\n";
  }
  std::string error_chunks(const ApiError& error) const override {
    return fmt::format("error {}: {}\n", error.status, error.message);
  }

 private:
  void fail_at(std::string_view where) const {
    if (where == where_) throw std::runtime_error("on purpose");
  }

  std::string_view where_;
  int num_chunks_ = 0;
};

class ReplyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    spdlog::set_level(spdlog::level::off);
    model_.step_ms = 10;  // so that a stream has several chunks
    api_.model = &served_;
    api_.metrics.serve(served_);
    for (const bool stream : {false, true})
      for (const char* where : {"nowhere", "whole", "chunks", "last"})
        service_.router.add(
            {.method = "GET",
             .path = fmt::format("/{}/{}", stream ? "stream" : "one", where),
             .handler = [this, stream, where](http::Exchange& exchange) { return answer(exchange, stream, where); }});
    auto listener = http::Listener::bind(io_, "127.0.0.1", 0);
    ASSERT_TRUE(listener) << listener.error().message;
    listener_ = std::move(*listener);
    listener_->start(service_);
    thread_ = std::thread([this] { io_.run(); });
  }
  void TearDown() override {
    model_.engine().stop(0ms);
    boost::asio::post(io_, [this] {
      listener_->close();
      service_.is_draining = true;
      for (http::Session* session : service_.sessions) session->close();
    });
    thread_.join();
  }

  boost::asio::awaitable<void> answer(http::Exchange& exchange, bool stream, const char* where) {
    Job job;
    job.requests.push_back({.prompt = {'a'}, .params = {.max_tokens = 3}});
    job.sample_options.emplace_back();
    job.echoes.emplace_back();
    FailingReply reply(served_, job, where);
    co_await run_job(api_, exchange, stream, std::move(job), reply);
  }
  std::string ask(const char* path) {
    Client client(listener_->address().port());
    client.send(fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path));
    return client.read_to_end();
  }

  testing::FakeModel model_;
  ServedModel served_ = model_.served();
  ApiContext api_;
  boost::asio::io_context io_{1};
  http::Service service_{.limits = {}, .guard = http::Guard({})};
  std::unique_ptr<http::Listener> listener_;
  std::thread thread_;
};

TEST_F(ReplyTest, EndsWellWhereNothingFails) {
  EXPECT_THAT(ask("/one/nowhere"), HasSubstr("\"whole\""));
  const std::string streamed = ask("/stream/nowhere");
  EXPECT_THAT(streamed, HasSubstr("last\n"));
  EXPECT_THAT(streamed, Not(HasSubstr("error")));
}

TEST_F(ReplyTest, AFaultWithinAStreamIsToldInIt) {
  for (const char* path : {"/stream/chunks", "/stream/last"}) {
    const std::string answer = ask(path);
    EXPECT_EQ(status_of(answer), 200);
    EXPECT_THAT(answer, HasSubstr("chunk\n")) << path;
    EXPECT_THAT(answer, HasSubstr("error 500: internal error\n")) << path;
    EXPECT_THAT(answer, Not(HasSubstr("on purpose"))) << path;
    EXPECT_TRUE(answer.ends_with("\r\n0\r\n\r\n")) << path << ": " << answer;
  }
}

TEST_F(ReplyTest, WhatComesForAFinishedSampleIsNobodys) {
  Job job;
  job.requests.push_back({.prompt = {'a'}, .params = {.max_tokens = 3}, .num_samples = 2});
  job.sample_options.push_back({.stop = {"b"}});
  job.echoes.emplace_back();
  FailingReply reply(served_, job, "nowhere");
  const auto told = [](int sample_idx, TokenId id) {
    return Generation::News{0, {.sample_idx = sample_idx, .tokens = {{.id = id, .logprob = {}, .top_logprobs = {}}}}};
  };
  const auto failed = [](int sample_idx) {
    return Generation::News{0, {.sample_idx = sample_idx, .finish = FinishReason::kError, .error = "on purpose"}};
  };
  ASSERT_TRUE(reply.take(told(0, 'b')));
  ASSERT_TRUE(reply.take(told(1, 'x')));
  EXPECT_TRUE(reply.is_finished(0, 0));
  EXPECT_FALSE(reply.is_finished(0, 1));
  EXPECT_TRUE(reply.take(failed(0)));
  EXPECT_FALSE(reply.take(failed(1)));
}

TEST_F(ReplyTest, AFaultBeforeTheFirstByteHasAStatus) { EXPECT_EQ(status_of(ask("/one/whole")), 500); }

}  // namespace
}  // namespace retort
