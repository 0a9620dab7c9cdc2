#include "server/api_error.h"

#include "../base/log_capture.h"
#include "api_fixture.h"

namespace retort {
namespace {

using testing::ApiTest;
using testing::body_of;
using ::testing::HasSubstr;
using testing::LogCapture;
using ::testing::Not;
using testing::status_of;

std::string note_of(const ApiStatus& refused) { return log_note(refused.error()); }

TEST(LogNote, LeavesOutWhatTheClientSent) {
  EXPECT_EQ(note_of(refuse(400, "n: only with temperature", "n")), "n: only with temperature");
  EXPECT_EQ(note_of(refuse(400, fmt::format("n: not '{}'", "secret"), "n")), "n");
  EXPECT_EQ(note_of(refuse(404, fmt::format("no '{}'", "secret"), "model", "model_not_found")),
            "model (model_not_found)");
  EXPECT_EQ(note_of(refuse(400, fmt::format("'{}'?", "a secret"), "a secret", "unknown_parameter")),
            "(unknown_parameter)");
  EXPECT_EQ(note_of(refuse(400, fmt::format("'{}'", "x"), std::string(101, 'x'))), "");
  EXPECT_EQ(log_note({.status = 429, .message = "the queue is full: 3 wait"}), "the queue is full: 3 wait");
}

class LogTest : public ApiTest {
 protected:
  // The line of a request may come after its answer.
  bool logs(std::string_view text) {
    for (int i = 0; i < 500 && log_.text().find(text) == std::string::npos; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return log_.text().find(text) != std::string::npos;
  }
  LogCapture log_;  // as long as the server lives
};

constexpr const char* kBodies[] = {
    R"({"prompt": "my secret thought" oops})",
    R"({"prompt": "my secret thought)",
    R"("my secret thought")",
    R"({"prompt": "x", "temperature": "my secret thought"})",
    R"({"prompt": "x", "my secret thought": 1})",
    R"({"prompt": {"my secret thought": 1}})",
    R"({"prompt": "x", "guided_regex": "(my secret thought"})",
    R"({"prompt": "x", "logit_bias": {"my secret thought": 1}})",
    R"({"prompt": "x", "model": "my secret thought"})",
};

TEST_F(LogTest, KeepsToItselfWhatRefusedRequestsSay) {
  start();
  spdlog::set_level(spdlog::level::debug);
  for (const char* body : kBodies) {
    const std::string answer = ask("POST", "/v1/completions", body);
    EXPECT_THAT(status_of(answer), ::testing::AnyOf(400, 404)) << body;
    EXPECT_THAT(body_of(answer), HasSubstr("my secret")) << "the client is told all of it";
  }
  EXPECT_EQ(status_of(ask("POST", "/v1/completions", R"({"prompt": "x", "temprature": 1})")), 400);
  for (const char* note :
       {"400 the body is not valid JSON, ", "400 the body: expected an object, ",
        "400 temperature: expected a number from 0 to 2, ", "400 (unknown_parameter), ", "400 guided_regex, ",
        "404 model (model_not_found), ", "400 temprature (unknown_parameter), "})
    EXPECT_TRUE(logs(note)) << note << log_.text();
  EXPECT_THAT(log_.text(), Not(HasSubstr("secret")));
}

TEST_F(LogTest, TellsItWhenAskedTo) {
  start({.logs_requests = true});
  spdlog::set_level(spdlog::level::info);
  EXPECT_EQ(status_of(ask("POST", "/v1/completions", R"({"prompt": "x", "temperature": "my secret thought"})")), 400);
  EXPECT_TRUE(logs(R"(temperature: expected a number from 0 to 2, got "my secret thought", )")) << log_.text();
}

}  // namespace
}  // namespace retort
