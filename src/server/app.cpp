#include "server/app.h"

#include <sys/resource.h>

#include <boost/asio/post.hpp>
#include <future>

#include "base/log.h"
#include "base/thread_name.h"
#include "server/admin_routes.h"
#include "server/anthropic/endpoints.h"
#include "server/fields/json_input.h"
#include "server/http/exchange.h"
#include "server/http/session.h"
#include "server/http/tls.h"
#include "server/ollama/endpoints.h"
#include "server/openai/endpoints.h"
#include "server/openapi.h"
#include "server/page.h"
#include "server/responses/endpoints.h"
#include "server/simple/endpoints.h"
#include "server/status_routes.h"

namespace retort {

namespace asio = boost::asio;

namespace {

bool is_loopback(const asio::ip::address& address) { return address.is_loopback(); }

http::GuardOptions guard_options(const ServerConfig& config, const asio::ip::address& address) {
  http::GuardOptions options{.api_keys = config.api_keys,
                             .allowed_origins = config.allowed_origins,
                             .allowed_hosts = config.allowed_hosts,
                             .check_host = is_loopback(address)};
  options.allowed_hosts.push_back(config.host);
  return options;
}

// Each connection is a file descriptor, and the usual soft limit is 1024 in all.
void raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::string name_of(const asio::ip::tcp::endpoint& endpoint) {
  asio::ip::address address = endpoint.address();
  if (address.is_unspecified())  // all interfaces: this one a reader of the log can open
    address = address.is_v4() ? asio::ip::address(asio::ip::address_v4::loopback()) : asio::ip::address_v6::loopback();
  return fmt::format(fmt::runtime(address.is_v6() ? "[{}]:{}" : "{}:{}"), address.to_string(), endpoint.port());
}

void add_openapi_route(http::Router& router) {
  const std::string document = dump_json(openapi_document(RETORT_VERSION));
  router.add({.method = "GET",
              .path = "/openapi.json",
              .handler = [document](http::Exchange& exchange) { return exchange.respond({.body = document}); },
              .ignores_query = true});
}

}  // namespace

Result<std::unique_ptr<App>> App::bind(const ServerConfig& config) {
  raise_file_limit();
  auto app = std::unique_ptr<App>(new App(config));
  RETORT_TRY(app->listen(config));
  app->listener_->start(app->service_);
  app->watchdog_.start();
  app->thread_ = std::thread([&io = app->io_] {
    name_this_thread("http");
    io.run();
  });
  return app;
}

Status App::listen(const ServerConfig& config) {
  const bool is_unix = !config.uds.empty();
  RETORT_ASSIGN(listener_, is_unix ? http::Listener::bind_unix(io_, config.uds)
                                   : http::Listener::bind(io_, config.host, config.port));
  if (!config.ssl_certfile.empty()) {
    RETORT_ASSIGN(auto tls, http::load_tls(config.ssl_certfile, config.ssl_keyfile));
    listener_->encrypt(std::move(tls));
  }
  if (is_unix) {
    url_ = "unix:" + config.uds;
    service_.guard = http::Guard({.api_keys = config.api_keys, .allowed_origins = config.allowed_origins});
    return {};
  }
  const asio::ip::tcp::endpoint endpoint = listener_->address();
  url_ = (config.ssl_certfile.empty() ? "http://" : "https://") + name_of(endpoint);
  service_.guard = http::Guard(guard_options(config, endpoint.address()));
  if (!is_loopback(endpoint.address()) && config.api_keys.empty())
    log::warn("listening on {} without an API key: whoever reaches this machine can use the model (--api-key)",
              config.host);
  return {};
}

App::App(const ServerConfig& config)
    : keep_running_(io_.get_executor()),
      grammar_limits_{.max_bytes = config.max_schema_bytes, .max_time = config.schema_timeout},
      max_prompt_chars_(config.max_prompt_chars),
      service_{.limits = {.max_body_bytes = config.max_body_bytes,
                          .max_header_bytes = config.max_header_bytes,
                          .max_connections = config.max_connections,
                          .header_timeout = config.header_timeout,
                          .idle_timeout = config.idle_timeout,
                          .max_held_body_bytes = std::max(config.max_held_body_bytes, config.max_body_bytes),
                          .max_requests_per_key = config.max_requests_per_key},
               .guard = http::Guard({})},
      watchdog_(io_, api_) {
  api_.request_timeout = config.request_timeout;
  api_.step_timeout = config.step_timeout;
  api_.json_limits.max_depth = config.max_json_depth;
  api_.json_limits.refuses_repeated_keys = true;
  api_.logs_requests = config.logs_requests;
  api_.degradation = Degradation(config.degrade);
  service_.on_exchange_change = [this] {
    const std::lock_guard lock(mutex_);
    num_exchanges_ = service_.num_exchanges;
    if (num_exchanges_ == 0) all_answered_.notify_all();
  };
  service_.on_answer = [this](std::string_view method, std::string_view handler, int status) {
    api_.metrics.count_answer(method, handler, status);
  };
  service_.on_key_limit = [this] {
    if (api_.model != nullptr) api_.metrics.requests().count_rejection(RequestMetrics::kKeyLimit);
  };
  openai::add_routes(service_.router, api_);
  responses::add_routes(service_.router, api_);
  anthropic::add_routes(service_.router, api_);
  simple::add_routes(service_.router, api_);
  ollama::add_routes(service_.router, api_, RETORT_VERSION);
  add_status_routes(service_.router, api_, RETORT_VERSION);
  if (config.enable_admin) add_admin_routes(service_.router, api_, config);
  add_openapi_route(service_.router);
  add_page_routes(service_.router);
}

App::~App() {
  shut_down();
  stop_reading();
}

void App::on_io_thread(std::function<void()> work) {
  std::promise<void> done;
  asio::post(io_, [&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

void App::set_model(ServedModel model) {
  model.grammars = std::make_shared<const Grammars>(*model.tokenizer, grammar_limits_);
  model.max_prompt_chars = max_prompt_chars_;
  model_ = std::make_unique<ServedModel>(std::move(model));
  on_io_thread([this] {
    api_.model = model_.get();
    api_.metrics.serve(*model_);
  });
}

bool App::drain(std::chrono::milliseconds grace) {
  on_io_thread([this] { api_.is_draining = service_.is_draining = true; });
  std::unique_lock lock(mutex_);
  return all_answered_.wait_for(lock, grace, [this] { return num_exchanges_ == 0; });
}

void App::refuse_unread() {
  on_io_thread([this] { api_.is_stopping = true; });
}

void App::shut_down() {
  if (!thread_.joinable()) return;
  on_io_thread([this] {
    listener_->close();
    watchdog_.stop();
    service_.is_draining = true;
    for (http::Session* session : service_.sessions) session->close();
  });
  keep_running_.reset();
  thread_.join();
}

}  // namespace retort
