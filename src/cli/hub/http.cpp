#include "cli/hub/http.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <mutex>
#include <system_error>

#include "base/result.h"

namespace retort {
namespace {

constexpr long kConnectSeconds = 10, kMaxRedirects = 10;
constexpr size_t kMaxHeaders = 256;

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using List = std::unique_ptr<curl_slist, FreeList>;

struct Transfer {
  CURL* handle;
  const HttpRequest* request;
  HttpOutcome outcome;
};

std::string trimmed(std::string_view text) {
  const auto blank = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return std::string(text);
}

// libcurl's own says of a host that refuses connections no more than that it could not connect.
std::string cause(CURL* handle, CURLcode code, const char* message) {
  const std::string text = *message != '\0' ? message : curl_easy_strerror(code);
  long system_error = 0;
  curl_easy_getinfo(handle, CURLINFO_OS_ERRNO, &system_error);
  if (code != CURLE_COULDNT_CONNECT || system_error == 0) return text;
  const std::string reason = std::generic_category().message(static_cast<int>(system_error));
  return text.find(reason) == std::string::npos ? fmt::format("{} ({})", text, reason) : text;
}

bool is_redirect(long status) { return status >= 300 && status < 400; }

// Called with each header line; a status line begins another response (after a redirect, or "100 Continue").
size_t on_header(char* data, size_t size, size_t count, void* user) {
  auto& head = static_cast<Transfer*>(user)->outcome.head;
  const std::string_view line(data, size * count);
  if (line.starts_with("HTTP/")) {
    head.headers.clear();
  } else if (const auto colon = line.find(':'); colon != std::string_view::npos && head.headers.size() < kMaxHeaders) {
    std::string name = trimmed(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    head.headers[name] = trimmed(line.substr(colon + 1));
  }
  return size * count;
}

void read_head(Transfer& transfer) {
  auto& head = transfer.outcome.head;
  curl_easy_getinfo(transfer.handle, CURLINFO_RESPONSE_CODE, &head.status);
  const char* url = nullptr;
  curl_easy_getinfo(transfer.handle, CURLINFO_EFFECTIVE_URL, &url);
  head.url = url == nullptr ? "" : url;
  long num_redirects = 0;
  curl_easy_getinfo(transfer.handle, CURLINFO_REDIRECT_COUNT, &num_redirects);
  head.is_redirected = num_redirects > 0;
}

size_t on_body(char* data, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (transfer.outcome.head.status == 0) read_head(transfer);
  const bool go_on =
      !transfer.request->on_body || transfer.request->on_body(transfer.outcome.head, {data, size * count});
  transfer.outcome.stopped = !go_on;
  return go_on ? size * count : CURL_WRITEFUNC_ERROR;
}

int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto& transfer = *static_cast<Transfer*>(user);
  transfer.outcome.stopped = transfer.request->stop != nullptr && transfer.request->stop->load();
  return transfer.outcome.stopped ? 1 : 0;
}

}  // namespace

std::string HttpHead::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

struct HttpClient::Impl {
  CURL* handle = nullptr;
  std::array<char, CURL_ERROR_SIZE> error{};
};

HttpClient::HttpClient() : impl_(std::make_unique<Impl>()) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  impl_->handle = curl_easy_init();
  RETORT_CHECK(impl_->handle != nullptr);
}

HttpClient::~HttpClient() { curl_easy_cleanup(impl_->handle); }

HttpOutcome HttpClient::send(const HttpRequest& request) {
  CURL* handle = impl_->handle;
  curl_easy_reset(handle);  // keeps connections
  Transfer transfer{handle, &request, {}};
  List headers;
  for (const auto& header : request.headers) headers.reset(curl_slist_append(headers.release(), header.c_str()));

  const std::string url = with_scheme(request.url);
  const bool secure = url.starts_with("https://");
  impl_->error[0] = '\0';
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, impl_->error.data());
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "retort/" RETORT_VERSION);
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR,
                   secure ? "https" : "http,https");  // never from https down to http
  curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(handle, CURLOPT_MAXREDIRS, kMaxRedirects);
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, static_cast<long>(request.idle_seconds));
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
  if (request.body) {
    curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body->size()));
    curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request.body->c_str());
  }

  const CURLcode code = curl_easy_perform(handle);
  read_head(transfer);
  transfer.outcome.complete = code == CURLE_OK;
  if (code == CURLE_OK) return std::move(transfer.outcome);
  transfer.outcome.error = cause(handle, code, impl_->error.data());
  const bool is_followed = code != CURLE_UNSUPPORTED_PROTOCOL && code != CURLE_TOO_MANY_REDIRECTS;
  if (auto& head = transfer.outcome.head; is_redirect(head.status) && is_followed) head.status = 0;
  return std::move(transfer.outcome);
}

std::string with_scheme(std::string_view url) {
  const auto end = url.find("://");
  if (end == std::string_view::npos || url.substr(0, end).find_first_of("/?#@") != std::string_view::npos)
    return fmt::format("http://{}", url);
  std::string text(url);
  std::transform(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(end), text.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return text;
}

std::string without_password(std::string_view url) {
  const auto scheme = url.find("://");
  const size_t begin = scheme == std::string_view::npos ? 0 : scheme + 3;
  const auto authority = url.substr(begin, url.find_first_of("/?#", begin) - begin);
  const auto at = authority.rfind('@');
  if (at == std::string_view::npos) return std::string(url);
  return std::string(url.substr(0, begin)).append(url.substr(begin + at + 1));
}

std::string origin_of(const std::string& url) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), curl_url_cleanup);
  if (curl_url_set(parsed.get(), CURLUPART_URL, with_scheme(url).c_str(), 0) != CURLUE_OK) return "";
  std::array<std::string, 3> parts;
  for (size_t i = 0; i < parts.size(); ++i) {
    constexpr CURLUPart kParts[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
    char* text = nullptr;
    if (curl_url_get(parsed.get(), kParts[i], &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return "";
    parts[i] = text;
    curl_free(text);
    for (char& c : parts[i]) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return fmt::format("{}://{}:{}", parts[0], parts[1], parts[2]);
}

std::string url_path(std::string_view path) {
  std::string escaped;
  for (const char c : path) {
    const bool plain =
        std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string_view("-._~/").find(c) != std::string_view::npos;
    if (plain)
      escaped += c;
    else
      escaped += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return escaped;
}

}  // namespace retort
