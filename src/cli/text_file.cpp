#include "cli/text_file.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace retort {
namespace {

constexpr size_t kMaxBytes = size_t{256} << 20;  // far beyond any text, and an end for what has none: /dev/zero

}  // namespace

Result<std::string> read_text(std::istream& stream) {
  std::string text;
  std::array<char, 1 << 16> piece;
  while (stream.read(piece.data(), piece.size()), stream.gcount() > 0) {
    text.append(piece.data(), static_cast<size_t>(stream.gcount()));
    if (text.size() > kMaxBytes) return fail(ErrorKind::kTooLarge, "expected at most {} MiB of text", kMaxBytes >> 20);
  }
  if (stream.bad()) return fail(ErrorKind::kIo, "cannot be read to its end");
  return text;
}

Result<std::string> read_text_file(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error))  // which opens, but throws when it is read
    return fail(ErrorKind::kBadInput, "is a folder, expected a file");
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorKind::kNotFound, "cannot be read: {}", std::strerror(errno));
  return read_text(file);
}

}  // namespace retort
