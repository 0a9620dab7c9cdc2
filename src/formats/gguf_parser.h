// One GGUF file's bytes taken apart. What Gguf is built from; other rooms use gguf.h.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"

namespace retort {

struct GgufPart {
  uint32_t version = 0;
  std::map<std::string, GgufValue, std::less<>> metadata;
  std::vector<TensorView> tensors;  // in the file's order, names unique, data inside `bytes`
};

// `name` is how errors call the file.
Result<GgufPart> parse_gguf(std::span<const std::byte> bytes, std::string_view name);

}  // namespace retort
