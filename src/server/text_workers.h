// Threads for work on text that takes long (parsing and tokenising a long prompt), so that it holds up neither I/O nor
// the engine.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <type_traits>

namespace retort {

class TextWorkers {
 public:
  explicit TextWorkers(size_t num_threads) : pool_(num_threads) {}

  // work() on a worker; the caller goes on where it was.
  template <class Work>
  boost::asio::awaitable<std::invoke_result_t<Work>> run(Work work) {
    auto task = on_worker(std::move(work));
    co_return co_await boost::asio::co_spawn(pool_, std::move(task), boost::asio::use_awaitable);
  }

 private:
  template <class Work>
  static boost::asio::awaitable<std::invoke_result_t<Work>> on_worker(Work work) {
    co_return work();
  }

  boost::asio::thread_pool pool_;
};

}  // namespace retort
