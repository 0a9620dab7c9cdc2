// What a file's bytes must hash to, and the hash as they come.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace retort {

struct Digest {
  enum class Kind { kNone, kSha256, kGitBlob } kind = Kind::kNone;  // git: SHA-1 of "blob SIZE\0" and the bytes
  std::string hex;
};

class Hasher {
 public:
  // num_bytes: of the whole file; a git blob's hash begins with it.
  Hasher(Digest::Kind kind, uint64_t num_bytes);
  ~Hasher();
  void update(std::string_view bytes);
  std::string hex();  // once, at the end; empty for kNone

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace retort
