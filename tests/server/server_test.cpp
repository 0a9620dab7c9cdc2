#include "server/server.h"

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <thread>

#include "base/log.h"

namespace retort {
namespace {

using namespace std::chrono_literals;

// In a process of its own. Ends otherwise than by the signal's doing with a code of its own.
[[noreturn]] void bind_and_get(int signal, const std::string& uds) {
  spdlog::set_level(spdlog::level::off);
  const auto server = Server::bind({.port = 0, .uds = uds});
  if (!server) std::_Exit(1);
  std::raise(signal);
  std::this_thread::sleep_for(20s);  // the model loads
  std::_Exit(2);
}

TEST(ServerDeathTest, EndsWellWhileTheModelLoads) {
  const std::string path = ::testing::TempDir() + "retort_server_test.sock";
  for (const int signal : {SIGTERM, SIGINT}) {
    EXPECT_EXIT(bind_and_get(signal, ""), ::testing::ExitedWithCode(0), "") << signal;
    EXPECT_EXIT(bind_and_get(signal, path), ::testing::ExitedWithCode(0), "") << signal;
    EXPECT_FALSE(std::filesystem::exists(path));
  }
}

}  // namespace
}  // namespace retort
