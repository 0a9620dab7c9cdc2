#include "base/log.h"

#include <fmt/chrono.h>
#include <poll.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/ansicolor_sink.h>
#include <unistd.h>

#include <chrono>
#include <iterator>
#include <mutex>
#include <utility>

#include "base/visible.h"

namespace retort::log {
namespace {

class JsonFormatter : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const auto milliseconds =
        std::chrono::duration_cast<std::chrono::milliseconds>(message.time.time_since_epoch()).count();
    fmt::format_to(std::back_inserter(out), R"({{"time":"{:%Y-%m-%dT%H:%M:%S}.{:03}Z","level":"{}","message":"{}"}})",
                   fmt::gmtime(std::chrono::system_clock::to_time_t(message.time)), milliseconds % 1000,
                   spdlog::level::to_string_view(message.level),
                   json_escaped({message.payload.data(), message.payload.size()}));
    out.push_back('\n');
  }
  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<JsonFormatter>(); }
};

// The message of a line for people, who read it on a terminal: it may quote a file or a client.
class VisibleMessage final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& out) override {
    const auto text = visible({message.payload.data(), message.payload.size()});
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<spdlog::custom_flag_formatter> clone() const override { return std::make_unique<VisibleMessage>(); }
};

// Standard error, but never waiting for whoever reads it: a log shipper that hangs must not hold up the server. Lines
// it does not take are counted, and told when it takes again.
class PatientSink final : public spdlog::sinks::ansicolor_stderr_sink_mt {
  using Sink = spdlog::sinks::ansicolor_stderr_sink_mt;

 public:
  void log(const spdlog::details::log_msg& message) override {
    const std::lock_guard lock(mutex_of_room_);  // two that saw the same room must not both fill it
    pollfd output{STDERR_FILENO, POLLOUT, 0};    // of a pipe: there is room for PIPE_BUF bytes
    if (poll(&output, 1, 0) == 0) {
      num_lost_ += 1;
      return;
    }
    if (num_lost_ > 0) {
      const auto text =
          fmt::format("{} lines of the log are lost: their reader did not take them", std::exchange(num_lost_, 0));
      Sink::log({message.logger_name, spdlog::level::warn, text});
    }
    Sink::log(message);
  }

 private:
  std::mutex mutex_of_room_;
  uint64_t num_lost_ = 0;
};

}  // namespace

std::string json_escaped(std::string_view text) {
  std::string escaped;
  unsigned char before = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_c1 = before == 0xC2 && byte >= 0x80 && byte < 0xA0;  // U+0080 … U+009F steer terminals too
    if (is_c1) escaped.pop_back();
    if (c == '"' || c == '\\')
      escaped += {'\\', c};
    else if (byte < ' ' || byte == 0x7F || is_c1)
      fmt::format_to(std::back_inserter(escaped), "\\u{:04x}", byte);
    else
      escaped += c;
    before = byte;
  }
  return escaped;
}

Status init(std::string_view level, std::string_view format) {
  const auto parsed = spdlog::level::from_str(std::string(level));
  if (parsed == spdlog::level::off && level != "off")
    return fail(ErrorKind::kBadInput, "[log] level: expected debug, info, warning, error or off, got '{}'", level);
  auto logger = std::make_shared<spdlog::logger>("retort", std::make_shared<PatientSink>());
  logger->set_level(parsed);
  if (format == "json") {
    logger->set_formatter(std::make_unique<JsonFormatter>());
  } else {
    auto formatter = std::make_unique<spdlog::pattern_formatter>();
    formatter->add_flag<VisibleMessage>('v').set_pattern("%Y-%m-%d %H:%M:%S.%e %^%-7l%$ %v");
    logger->set_formatter(std::move(formatter));
  }
  spdlog::set_default_logger(std::move(logger));
  return {};
}

}  // namespace retort::log
