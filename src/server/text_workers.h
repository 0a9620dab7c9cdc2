// Threads for work on text that takes long (parsing and tokenising a long prompt), so that it holds up neither I/O nor
// the engine.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/thread_name.h"

namespace retort {

// Not asio::thread_pool: where one of its threads but the first cannot start, its constructor never returns.
class TextWorkers {
 public:
  // Throws std::system_error when a thread cannot start.
  explicit TextWorkers(size_t num_threads) {
    try {
      while (threads_.size() < num_threads) threads_.emplace_back([this] { serve(); });
    } catch (...) {
      io_.stop();
      throw;
    }
  }
  ~TextWorkers() { io_.stop(); }

  // work() on a worker; the caller goes on where it was.
  template <class Work>
  boost::asio::awaitable<std::invoke_result_t<Work>> run(Work work) {
    auto task = on_worker(std::move(work));
    co_return co_await boost::asio::co_spawn(io_, std::move(task), boost::asio::use_awaitable);
  }

 private:
  template <class Work>
  static boost::asio::awaitable<std::invoke_result_t<Work>> on_worker(Work work) {
    co_return work();
  }

  void serve() {
    name_this_thread("text");
    io_.run();
  }

  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> keep_running_ =
      boost::asio::make_work_guard(io_);
  std::vector<std::jthread> threads_;  // joined before what they run on goes
};

}  // namespace retort
