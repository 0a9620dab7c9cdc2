// Safetensors files written by hand, right or wrong.
#pragma once

#include <cstring>
#include <string>
#include <string_view>

namespace retort::testing {

inline std::string safetensors_bytes(std::string_view header, size_t data_size) {
  const uint64_t header_size = header.size();
  std::string bytes(sizeof(header_size), '\0');
  std::memcpy(bytes.data(), &header_size, sizeof(header_size));
  return bytes + std::string(header) + std::string(data_size, '\1');
}

}  // namespace retort::testing
