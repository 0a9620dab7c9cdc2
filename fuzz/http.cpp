// Any bytes as what one client sends: read by a real session over a socket pair, answered by handlers that echo, stream
// and tokenise. The first byte says in what pieces the others arrive.
#include <sys/socket.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>

#include "base/log.h"
#include "server/http/session.h"
#include "server/openai/endpoints.h"
#include "tiny_tokenizers.h"

namespace {

using namespace retort;
namespace asio = boost::asio;

asio::awaitable<void> echo(http::Exchange& exchange) {
  http::Response response{.content_type = "text/plain", .body = exchange.take_body()};
  co_await exchange.respond(std::move(response));
}

asio::awaitable<void> stream(http::Exchange& exchange) {
  std::string type = "text/plain";
  co_await exchange.start_stream(std::move(type));
  std::string piece = exchange.take_body();
  co_await exchange.write(std::move(piece));
  co_await exchange.finish_stream();
}

class Server {
 public:
  Server() : guard_(io_.get_executor()), tokenizer_(fuzzing::byte_level()), template_(compile_template()) {
    spdlog::set_level(spdlog::level::off);
    model_.id = "tiny";
    model_.tokenizer = &tokenizer_;
    model_.chat_template = &template_;
    model_.max_model_len = 1000;
    model_.control_tokens = ControlTokens(tokenizer_);
    api_.model = &model_;
    add("POST", "/echo", echo);
    add("POST", "/stream", stream);
    add("GET", "/stream", stream);
    add("GET", "/rest/*", echo, http::Access::kKey);
    service_.router.add({"POST", "/query", http::Access::kPublic, echo, true});
    add("POST", "/tokenize", [this](http::Exchange& exchange) { return openai::tokenize(api_, exchange); });
    add("POST", "/detokenize", [this](http::Exchange& exchange) { return openai::detokenize(api_, exchange); });
  }

  // All that the server answers to `input`.
  std::string play(std::span<const uint8_t> input, size_t piece_size) {
    int ends[2];
    RETORT_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    http::Session::start(http::Socket(io_, asio::generic::stream_protocol(AF_UNIX, 0), ends[0]), "fuzz", service_);
    std::string answers;
    bool has_said_all = false;
    while (!service_.sessions.empty()) {
      if (!input.empty()) {
        const ssize_t sent = ::send(ends[1], input.data(), std::min(piece_size, input.size()), MSG_NOSIGNAL);
        input = sent > 0 ? input.subspan(static_cast<size_t>(sent)) : input;
        if (sent < 0 && errno != EAGAIN) input = {};
      }
      const bool is_quiet = io_.poll() == 0 && service_.num_exchanges == 0;
      const bool has_answered = receive(ends[1], answers);
      if (!is_quiet && !has_answered && input.empty()) io_.run_one_for(std::chrono::milliseconds(1));
      if (is_quiet && input.empty() && !has_said_all) {
        ::shutdown(ends[1], SHUT_WR);
        has_said_all = true;
      }
    }
    receive(ends[1], answers);
    ::close(ends[1]);
    RETORT_CHECK(service_.num_exchanges == 0);
    return answers;
  }

 private:
  void add(const char* method, const char* path, http::Handler handler, http::Access access = http::Access::kPublic) {
    service_.router.add({method, path, access, std::move(handler)});
  }
  static ChatTemplate compile_template() {
    auto compiled = ChatTemplate::compile("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}", "", "");
    RETORT_CHECK(compiled.has_value());
    return std::move(*compiled);
  }
  static bool receive(int socket, std::string& answers) {
    char bytes[65536];
    bool any = false;
    for (ssize_t size; (size = ::recv(socket, bytes, sizeof(bytes), 0)) > 0; any = true)
      answers.append(bytes, static_cast<size_t>(size));
    return any;
  }

  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard_;
  Tokenizer tokenizer_;
  ChatTemplate template_;
  ServedModel model_;
  ApiContext api_;
  // Limits that inputs of libFuzzer's usual length reach.
  http::Service service_{
      .limits = {.max_body_bytes = 500, .max_header_bytes = 1000},
      .guard = http::Guard({.api_keys = {"k"}, .allowed_origins = {"http://a"}, .check_host = true})};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Server server;
  if (size == 0) return 0;
  const size_t piece_size = size_t{1} + data[0];
  const std::string answers = server.play({data + 1, size - 1}, piece_size);
  RETORT_CHECK(answers.empty() || answers.starts_with("HTTP/1.1 "));
  return 0;
}
