// A model hub's list of files and their addresses: Hugging Face's layout or ModelScope's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/hub/catalogue.h"
#include "cli/hub/digest.h"
#include "cli/hub/http.h"

namespace retort {

struct HubFile {
  std::string path;  // relative, checked to stay inside a folder
  uint64_t num_bytes = 0;
  Digest digest;
};

class Hub {
 public:
  // Addresses and tokens come from HF_ENDPOINT and HF_TOKEN, or MODELSCOPE_ENDPOINT and MODELSCOPE_API_TOKEN.
  static Hub from_environment(HubKind kind);
  Hub(HubKind kind, std::string endpoint, std::string token);

  // Errors: kNotFound, kBadInput (the answer is not a list of files, or names one outside the folder), kIo.
  Result<std::vector<HubFile>> list_files(HttpClient& http, const std::string& repo) const;
  std::string file_url(const std::string& repo, const std::string& path) const;
  std::vector<std::string> headers() const;  // to send with each request
  HubKind kind() const { return kind_; }
  const std::string& endpoint() const { return endpoint_; }

 private:
  HubKind kind_;
  std::string endpoint_, token_;
};

// "OWNER/REPO" and nothing that could leave a folder.
bool is_repo_name(std::string_view repo);
bool is_safe_path(std::string_view path);

// Both take a hub's answer as it came; messages say what is wrong, the caller whose answer it was.
Result<std::vector<HubFile>> parse_huggingface_tree(std::string_view json);
Result<std::vector<HubFile>> parse_modelscope_files(std::string_view json);

// The URL asked for, and where it was redirected to: for a person, without what is secret in either.
std::string address_told(const HttpHead& head, std::string_view url);

// What a status that is not 200 means for the one who asked for the URL, with the remedy where there is one.
Error hub_error(const HttpHead& head, std::string_view url);

}  // namespace retort
