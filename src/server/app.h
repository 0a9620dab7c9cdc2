// The service without its process: io_context and I/O thread, listener, routes, and the steps of starting, draining and
// ending. Methods may be called from any one thread at a time.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "server/api_context.h"
#include "server/http/listener.h"
#include "server/server.h"
#include "server/watchdog.h"

namespace retort {

class App {
 public:
  static Result<std::unique_ptr<App>> bind(const ServerConfig& config);
  ~App();  // shut_down()

  std::string url() const { return url_; }
  boost::asio::io_context& io() { return io_; }

  // From now on requests are taken. `model` must live until shut_down() has returned.
  void set_model(ServedModel model);
  // No form is compiled any more. True: one still is, and no destructor would return before it has been.
  bool stop_compiling() const { return model_ != nullptr && model_->grammars->stop(); }
  // New requests get 503; returns when those that run have ended, or after `grace`: whether all have.
  bool drain(std::chrono::milliseconds grace);
  // Requests that are still being read get 503.
  void refuse_unread();
  // Waits for what workers have begun to read; nothing else is read any more.
  void stop_reading() { api_.workers.stop(); }
  // Closes every connection, ends the I/O thread. The engine must not call back afterwards.
  void shut_down();

 private:
  explicit App(const ServerConfig& config);
  Status listen(const ServerConfig& config);
  void on_io_thread(std::function<void()> work);  // and waits for it

  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> keep_running_;
  GrammarLimits grammar_limits_;
  size_t max_prompt_chars_;
  ApiContext api_;
  http::Service service_;
  Watchdog watchdog_;
  std::unique_ptr<http::Listener> listener_;
  std::string url_;
  std::unique_ptr<ServedModel> model_;
  std::mutex mutex_;
  std::condition_variable all_answered_;
  int num_exchanges_ = 0;  // a copy of the service's, under mutex_
  std::thread thread_;
};

}  // namespace retort
