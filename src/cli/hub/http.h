// HTTP requests over libcurl: redirects, proxies and TLS as the environment sets them. One object, one thread.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace retort {

struct HttpHead {
  long status = 0;                             // 0: no answer came, or none from where a redirect led
  std::map<std::string, std::string> headers;  // names in lower case; of the response after redirects
  std::string url;                             // after redirects
  bool is_redirected = false;
  // Empty when absent.
  std::string header(const std::string& name) const;
};

struct HttpRequest {
  std::string url;
  std::vector<std::string> headers{};       // "Name: value"; Authorization is not passed on to another host
  std::optional<std::string> body{};        // present: POST
  int idle_seconds = 30;                    // without a byte the transfer is broken
  const std::atomic<bool>* stop = nullptr;  // becomes true: end the transfer
  // Called with what the response's head says and each piece of its body. False ends the transfer.
  std::function<bool(const HttpHead& head, std::string_view piece)> on_body{};
};

struct HttpOutcome {
  HttpHead head;
  bool complete = false;  // the whole body came, and its length is what the head promised
  bool stopped = false;   // on_body or `stop` ended it
  std::string error;      // why it is not complete
};

class HttpClient {
 public:
  HttpClient();
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  HttpOutcome send(const HttpRequest& request);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// With its scheme in lower case; with http:// where it has none.
std::string with_scheme(std::string_view url);

// To be shown: without the user and the password that may stand before the host.
std::string without_password(std::string_view url);

// "https://host:443": what two addresses of one server have in common, however they are spelt. Empty: not an address.
std::string origin_of(const std::string& url);

// Escapes each segment of a path; slashes stay.
std::string url_path(std::string_view path);

}  // namespace retort
