// The HTTP service over one Llm: listener, routes, OpenAI API, page.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/llm.h"
#include "server/degradation.h"
#include "server/served_model.h"

namespace retort {

struct ServerConfig {
  std::string host = "127.0.0.1";
  uint16_t port = 8000;                             // 0: any free one
  std::string uds = {};                             // a Unix domain socket, instead of host and port
  std::string ssl_certfile = {}, ssl_keyfile = {};  // PEM; both or none
  std::string served_model_name = {};               // empty: the file's name
  std::vector<std::string> api_keys = {};           // empty: no key asked
  std::vector<std::string> allowed_origins = {};    // CORS; "*": any; empty: off
  std::vector<std::string> allowed_hosts =
      {};  // names besides the loopback ones that requests may give when bound to loopback
  size_t max_body_bytes = 16u << 20;
  size_t max_header_bytes = 32u << 10;
  size_t max_held_body_bytes = 256u << 20;  // of all requests together; max_body_bytes if that is more
  int max_connections = 1024;
  int max_json_depth = 100;                         // of a request's body
  size_t max_prompt_chars = 4'000'000;              // Unicode characters of a prompt as text, before it is tokenised
  size_t max_schema_bytes = 256u << 10;             // of a JSON schema or another grammar
  std::chrono::milliseconds schema_timeout{5'000};  // for compiling one
  int max_requests_per_key = 0;                     // at once; 0: as many as come
  std::chrono::seconds header_timeout{10}, idle_timeout{75};
  std::chrono::seconds request_timeout{600};  // from the arrival of a request to the end of its answer
  std::chrono::seconds shutdown_timeout{30};
  std::chrono::seconds step_timeout{60};  // an engine longer in one step is reported as stuck
  DegradeConfig degrade = {};
  bool logs_requests = false;             // what they say; else only that they were
  bool uses_generation_config = true;     // sampling as the model's makers recommend, unless a request says otherwise
  bool enable_admin = false;              // /reset_prefix_cache, /server_info; only with api_keys
  std::string tool_call_parser = "auto";  // one of kToolFormatNames
  PromptHabits habits = {};
  bool trusts_request_templates = false;  // chat_template of requests
  bool force_thinking = false;            // the server adds <think> when the template did not
};

class Server {
 public:
  // Binds at once, so that the address is known and a taken port is an error before a model is loaded; /ready says 503
  // until serve(). From here on SIGINT and SIGTERM end the process, at once and well before serve(), which cuts off
  // what loads.
  static Result<std::unique_ptr<Server>> bind(ServerConfig config);
  ~Server();
  std::string url() const;  // "http://127.0.0.1:8000"
  // Serves until SIGINT or SIGTERM has drained it (a second signal ends at once). Returns the exit code.
  int serve(Llm& llm);

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace retort
