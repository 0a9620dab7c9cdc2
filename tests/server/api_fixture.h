// A server over the fake model, and ways to ask it something over sockets.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "client.h"
#include "fake_model.h"
#include "server/app.h"
#include "server/fields/json_input.h"

namespace retort::testing {

using namespace std::chrono_literals;

class ApiTest : public ::testing::Test {
 protected:
  void start(ServerConfig config = {}, EngineConfig engine = FakeModel::default_config()) {
    spdlog::set_level(spdlog::level::off);
    config.port = 0;
    auto app = App::bind(config);
    ASSERT_TRUE(app) << app.error().message;
    app_ = std::move(*app);
    port_ = static_cast<uint16_t>(std::stoi(app_->url().substr(app_->url().rfind(':') + 1)));
    model_ = std::make_unique<FakeModel>(std::move(engine));
    if (serves_) app_->set_model(model_->served());
  }
  void TearDown() override {
    if (model_ != nullptr) model_->engine().stop(0ms);
    if (app_ != nullptr) app_->shut_down();
  }

  static std::string request(std::string_view method, std::string_view path, std::string_view body = "") {
    return fmt::format(
        "{} {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}", method,
        path, body.size(), body);
  }
  std::string ask(std::string_view method, std::string_view path, std::string_view body = "") {
    Client client(port_);
    client.send(request(method, path, body));
    return client.read_answer();
  }
  Json ask_json(std::string_view method, std::string_view path, std::string_view body = "", int status = 200) {
    const std::string answer = ask(method, path, body);
    EXPECT_EQ(status_of(answer), status) << answer;
    return Json::parse(body_of(answer), nullptr, false);
  }
  std::string error(std::string_view path, std::string_view body, int status) {
    return ask_json("POST", path, body, status)["error"]["message"].get<std::string>();
  }
  Json chat(std::string_view content, const char* more = "{}", int status = 200) {
    return ask_json("POST", "/v1/chat/completions", chat_body(content, more), status);
  }
  // After start(): the model is one that reasons.
  void let_it_think() {
    ServedModel thinker = model_->served();
    thinker.is_reasoning = true;
    app_->set_model(std::move(thinker));
  }
  static std::string chat_body(std::string_view content, const char* more = "{}") {
    Json body = {{"model", "fake"}, {"messages", Json::array({{{"role", "user"}, {"content", content}}})}};
    body.update(Json::parse(more));
    return body.dump();
  }
  // The JSON of every event of a stream, and null for [DONE].
  std::vector<Json> stream(std::string_view path, std::string_view body) {
    Client client(port_);
    client.send(request("POST", path, body));
    const std::string head = client.read_until("\r\n\r\n");
    EXPECT_EQ(status_of(head), 200) << head << client.read_until("}}");
    EXPECT_THAT(head, ::testing::HasSubstr("Content-Type: text/event-stream"));
    std::vector<Json> events;
    std::string text = client.read_until("\r\n0\r\n\r\n");
    for (size_t at = text.find("data: "); at != std::string::npos; at = text.find("data: ", at + 1)) {
      const std::string data = text.substr(at + 6, text.find("\n\n", at) - at - 6);
      events.push_back(data == "[DONE]" ? Json() : Json::parse(data));
    }
    return events;
  }
  bool becomes_idle() {
    for (int i = 0; i < 500; ++i) {
      const EngineStats stats = model_->engine().stats();
      if (stats.num_running + stats.num_waiting == 0) return true;
      std::this_thread::sleep_for(10ms);
    }
    return false;
  }
  void wait_until_running() {
    for (int i = 0; i < 500 && model_->engine().stats().num_running == 0; ++i) std::this_thread::sleep_for(10ms);
  }

  bool serves_ = true;
  std::unique_ptr<App> app_;
  std::unique_ptr<FakeModel> model_;
  uint16_t port_ = 0;
};

}  // namespace retort::testing
