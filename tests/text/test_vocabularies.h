// Vocabularies that scripts/fetch_test_data.sh puts into the cache (`make test` calls it); tests without them skip and
// say so.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "text/tokenizer.h"

namespace retort {

inline std::filesystem::path test_cache() {
  if (const char* cache = std::getenv("RETORT_CACHE")) return cache;
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home == nullptr ? "." : home) / ".cache/retort";
}

inline std::filesystem::path vocabulary_path(const std::string& name) {
  return test_cache() / "test-data/llama-vocabs-3.22.1" / ("ggml-vocab-" + name + ".gguf");
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline Result<Tokenizer> load_gguf_tokenizer(const std::filesystem::path& path) {
  RETORT_ASSIGN(const Gguf file, Gguf::open(path));
  return Tokenizer::from_gguf(file);
}

}  // namespace retort

#define RETORT_SKIP_WITHOUT(path)                                                                               \
  do {                                                                                                          \
    if (!std::filesystem::exists(path))                                                                         \
      GTEST_SKIP() << "NOT TESTED: " << (path).string() << " is missing; scripts/fetch_test_data.sh brings it"; \
  } while (false)
