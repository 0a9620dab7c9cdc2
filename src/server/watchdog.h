// Looks every second at the memory in use and at the step the engine is in, tells Degradation of the one and the log of
// the other, and gives free memory back to the system once all requests are done. Lives on the I/O thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <string>

#include "server/api_context.h"

namespace retort {

class Watchdog {
 public:
  Watchdog(boost::asio::io_context& io, ApiContext& api) : api_(api), timer_(io) {}

  void start() { look(); }
  void stop() {
    is_stopped_ = true;
    timer_.cancel();
  }

 private:
  void look();
  void report_engine(const EngineStats& stats);
  void give_memory_back(const EngineStats& stats);

  ApiContext& api_;
  boost::asio::steady_timer timer_;
  bool is_stopped_ = false;
  std::string fault_;  // of the engine, as of the last look
};

}  // namespace retort
