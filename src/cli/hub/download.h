// One file over HTTP into its place: resumed after an interruption, checked, and only then given its name.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/hub/digest.h"
#include "cli/hub/http.h"
#include "cli/hub/progress.h"

namespace retort {

struct Download {
  std::string url;
  std::vector<std::string> headers;
  std::filesystem::path destination;
  uint64_t num_bytes = 0;  // 0: as the server says
  Digest digest;
};

// Whether it lies in its place with the bytes of its hash (where there is none: with as many). Reads all of it, about a
// second a gigabyte, and tells on stderr when its bytes are others.
bool is_downloaded(const Download& request);

// What has come lies in DESTINATION.partial (and the server's ETag for it in DESTINATION.partial.etag); a later call
// goes on from there. Broken connections are taken up again a few times. Errors: kNotFound, kBadInput (access; wrong
// bytes), kTooLarge, kIo.
Status download(HttpClient& http, const Download& request, Progress& progress);

}  // namespace retort
