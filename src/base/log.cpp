#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>

namespace retort::log {

Status init(std::string_view level) {
  const auto parsed = spdlog::level::from_str(std::string(level));
  if (parsed == spdlog::level::off && level != "off")
    return fail(ErrorKind::kBadInput, "[log] level: expected debug, info, warning, error or off, got '{}'", level);
  auto logger = std::make_shared<spdlog::logger>("retort", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  logger->set_level(parsed);
  logger->set_pattern("%Y-%m-%d %H:%M:%S.%e %^%-7l%$ %v");
  spdlog::set_default_logger(std::move(logger));
  return {};
}

}  // namespace retort::log
