#include "cli/text_file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace retort {

Result<std::string> read_text_file(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error))  // which opens, but throws when it is read
    return fail(ErrorKind::kBadInput, "is a folder, expected a file");
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorKind::kNotFound, "cannot be read: {}", std::strerror(errno));
  return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace retort
