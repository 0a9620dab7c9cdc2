// Threads for work on text that takes long (parsing and tokenising a long prompt), so that it holds up neither I/O nor
// the engine.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <thread>
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
  ~TextWorkers() { stop(); }

  // Waits for what has begun; the rest is not done.
  void stop() {
    io_.stop();
    threads_.clear();
  }

  // work() on a worker, once one is free. It may not throw.
  template <class Work>
  void post(Work work) {
    boost::asio::post(io_, std::move(work));
  }

 private:
  void serve() {
    name_this_thread("text");
    io_.run();
  }

  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> keep_running_ =
      boost::asio::make_work_guard(io_);
  std::vector<std::jthread> threads_;
};

}  // namespace retort
