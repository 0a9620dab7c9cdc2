#include "cli/hub/hub.h"

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/visible.h"

namespace retort {
namespace {

constexpr size_t kMaxListBytes = 16u << 20;
constexpr int kMaxPages = 50;

std::string from_environment_or(const char* name, const char* fallback) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : fallback;
}

// The answer's text, at most kMaxListBytes of it.
Result<std::pair<HttpHead, std::string>> get_text(HttpClient& http, const std::string& url,
                                                  std::vector<std::string> headers) {
  std::string text;
  bool too_large = false;
  const auto outcome =
      http.send({.url = url, .headers = std::move(headers), .on_body = [&](const HttpHead&, std::string_view piece) {
                   too_large = text.size() + piece.size() > kMaxListBytes;
                   if (!too_large) text += piece;
                   return !too_large;
                 }});
  if (too_large)
    return fail(ErrorKind::kTooLarge, "[hub] {}: the answer is over {} MB", without_password(url), kMaxListBytes >> 20);
  if (!outcome.complete) return fail(ErrorKind::kIo, "[hub] {}: {}", address_told(outcome.head, url), outcome.error);
  return std::pair(outcome.head, std::move(text));
}

// Link: <https://…>; rel="next"
std::string next_page(const std::string& link) {
  const auto begin = link.find('<'), end = link.find('>');
  if (link.find("rel=\"next\"") == std::string::npos || begin == std::string::npos || end == std::string::npos ||
      end < begin)
    return "";
  return link.substr(begin + 1, end - begin - 1);
}

Status check(const HubFile& file) {
  if (!is_safe_path(file.path))
    return fail(ErrorKind::kBadInput, "refused: the hub names a file outside the model's folder: '{}'", file.path);
  return {};
}

// get<uint64_t>() would convert any number, a negative or an enormous one too.
Result<uint64_t> parse_size(const nlohmann::json& value) {
  if (value.is_number_unsigned()) return value.get<uint64_t>();
  return fail(ErrorKind::kBadInput, "size of a file: expected a whole number of bytes, found {}", value.dump());
}

// Of an address: what is behind the host, "" or from a slash on.
std::string_view behind_host(std::string_view url) {
  const auto slash = url.find('/', url.find("://") + 3);
  return slash == std::string_view::npos ? "" : url.substr(slash);
}

}  // namespace

bool is_safe_path(std::string_view path) {
  if (path.empty() || path.size() > 512 || path.front() == '/' || path.back() == '/') return false;
  if (path.find('\\') != std::string_view::npos || visible_line(path) != path) return false;
  while (true) {
    const auto slash = path.find('/');
    const auto part = path.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

bool is_repo_name(std::string_view repo) {
  const auto slash = repo.find('/');
  if (slash == std::string_view::npos || repo.find('/', slash + 1) != std::string_view::npos || !is_safe_path(repo))
    return false;
  const auto allowed = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.' || c == '/';
  };
  return std::all_of(repo.begin(), repo.end(), allowed) && repo.front() != '.' && repo[slash + 1] != '.';
}

Result<std::vector<HubFile>> parse_huggingface_tree(std::string_view json) {
  const auto root = nlohmann::json::parse(json, nullptr, false);
  if (!root.is_array()) return fail(ErrorKind::kBadInput, "expected a JSON array of files");
  std::vector<HubFile> files;
  try {
    for (const auto& entry : root) {
      if (entry.at("type") != "file") continue;
      RETORT_ASSIGN(const uint64_t size, parse_size(entry.at("size")));
      HubFile file{entry.at("path").get<std::string>(), size, {}};
      RETORT_TRY(check(file));
      if (entry.contains("lfs") && entry["lfs"].is_object())
        file.digest = {Digest::Kind::kSha256, entry["lfs"].at("oid").get<std::string>()};
      else if (entry.contains("oid") && entry["oid"].is_string())
        file.digest = {Digest::Kind::kGitBlob, entry["oid"].get<std::string>()};
      files.push_back(std::move(file));
    }
  } catch (const nlohmann::json::exception& error) {
    return fail(ErrorKind::kBadInput, "the list of files is not understood: {}", error.what());
  }
  return files;
}

Result<std::vector<HubFile>> parse_modelscope_files(std::string_view json) {
  const auto root = nlohmann::json::parse(json, nullptr, false);
  std::vector<HubFile> files;
  try {
    for (const auto& entry : root.at("Data").at("Files")) {
      if (entry.at("Type") != "blob") continue;
      RETORT_ASSIGN(const uint64_t size, parse_size(entry.at("Size")));
      HubFile file{entry.at("Path").get<std::string>(), size, {}};
      RETORT_TRY(check(file));
      if (const auto hex = entry.value("Sha256", ""); !hex.empty()) file.digest = {Digest::Kind::kSha256, hex};
      files.push_back(std::move(file));
    }
  } catch (const nlohmann::json::exception& error) {
    return fail(ErrorKind::kBadInput, "the list of files is not understood: {}", error.what());
  }
  return files;
}

std::string address_told(const HttpHead& head, std::string_view url) {
  const auto asked = without_password(url);
  if (!head.is_redirected) return asked;
  const auto answered = without_password(head.url);
  // Where a file lies by itself, its address has a signature behind the question mark, which is nobody's to read in a
  // log.
  return fmt::format("{} (redirected to {})", asked, answered.substr(0, answered.find('?')));
}

Error hub_error(const HttpHead& head, std::string_view url) {
  const auto what = address_told(head, url);
  switch (head.status) {
    case 401:
    case 403:
      return {ErrorKind::kBadInput,
              fmt::format(
                  "[hub] {}: access refused ({}). A private or gated model needs a token: set HF_TOKEN (ModelScope: "
                  "MODELSCOPE_API_TOKEN), and accept its terms on the hub's page. Some hubs also say this of names "
                  "that do not exist",
                  what, head.status)};
    case 404:
      return {ErrorKind::kNotFound, fmt::format("[hub] {}: not found (404)", what)};
    case 429:
      return {ErrorKind::kUnavailable, fmt::format("[hub] {}: too many requests (429), try again later", what)};
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
      return {ErrorKind::kIo,
              fmt::format("[hub] {}: the redirect ({}) was not followed: to http and https only, and ten at most", what,
                          head.status)};
    default:
      return {ErrorKind::kIo, fmt::format("[hub] {}: expected status 200, got {}", what, head.status)};
  }
}

Hub::Hub(HubKind kind, std::string endpoint, std::string token)
    : kind_(kind), endpoint_(with_scheme(endpoint)), token_(std::move(token)) {
  while (endpoint_.ends_with('/')) endpoint_.pop_back();
}

Hub Hub::from_environment(HubKind kind) {
  if (kind == HubKind::kHuggingFace)
    return {kind, from_environment_or("HF_ENDPOINT", "https://huggingface.co"), from_environment_or("HF_TOKEN", "")};
  return {kind, from_environment_or("MODELSCOPE_ENDPOINT", "https://www.modelscope.cn"),
          from_environment_or("MODELSCOPE_API_TOKEN", "")};
}

std::vector<std::string> Hub::headers() const {
  if (token_.empty()) return {};
  return {"Authorization: Bearer " + token_};
}

std::string Hub::file_url(const std::string& repo, const std::string& path) const {
  if (kind_ == HubKind::kHuggingFace) return endpoint_ + "/" + repo + "/resolve/main/" + url_path(path);
  return endpoint_ + "/models/" + repo + "/resolve/master/" + url_path(path);
}

Result<std::vector<HubFile>> Hub::list_files(HttpClient& http, const std::string& repo) const {
  const bool huggingface = kind_ == HubKind::kHuggingFace;
  std::string url = huggingface ? endpoint_ + "/api/models/" + repo + "/tree/main?recursive=true"
                                : endpoint_ + "/api/v1/models/" + repo + "/repo/files?Revision=master&Recursive=true";
  std::vector<HubFile> files;
  for (int page = 0; page < kMaxPages; ++page) {
    RETORT_ASSIGN(const auto answer, get_text(http, url, headers()));
    const auto& [head, text] = answer;
    if (head.status != 200) return tl::unexpected<Error>(hub_error(head, url));
    auto more = huggingface ? parse_huggingface_tree(text) : parse_modelscope_files(text);
    if (!more) return fail(more.error().kind, "[hub] {}: {}", without_password(url), more.error().message);
    files.insert(files.end(), std::make_move_iterator(more->begin()), std::make_move_iterator(more->end()));
    const auto next = huggingface ? next_page(head.header("link")) : "";
    if (next.empty()) break;
    // The token is for this hub alone.
    const auto path = behind_host(next), own_path = behind_host(endpoint_);
    if (origin_of(next) != origin_of(endpoint_) || !path.starts_with(fmt::format("{}/", own_path)))
      return fail(ErrorKind::kBadInput, "[hub] {}: the next page of the list is on another host: {}", repo,
                  without_password(next));
    // The endpoint's own spelling has the user and the password, where there are any.
    url = endpoint_ + std::string(path.substr(own_path.size()));
  }
  return files;
}

}  // namespace retort
