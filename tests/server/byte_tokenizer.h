// A tokenizer of bytes and a few control tokens: token i is the byte i, and the names from 256 on are as listed.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "formats/gguf.h"
#include "text/tokenizer.h"

namespace retort::testing {

inline constexpr TokenId kEndToken = 256;       // <|end|>, the model's stop token
inline constexpr TokenId kUserToken = 257;      // <|user|>
inline constexpr TokenId kThinkToken = 258;     // <think>, ordinary text to skip_special_tokens
inline constexpr TokenId kThinkEndToken = 259;  // </think>

// GPT-2's way of writing any byte as a printable character.
inline std::string byte_name(int byte) {
  const auto is_printable = [](int b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
  };
  int codepoint = byte;
  if (!is_printable(byte)) {
    codepoint = 256;
    for (int b = 0; b < byte; ++b) codepoint += is_printable(b) ? 0 : 1;
  }
  if (codepoint < 0x80) return std::string(1, static_cast<char>(codepoint));
  return {static_cast<char>(0xC0 | (codepoint >> 6)), static_cast<char>(0x80 | (codepoint & 0x3F))};
}

inline Tokenizer byte_tokenizer() {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(byte_name(byte));
  GgufArray types{std::vector<int32_t>(256, 1)};
  for (const auto& [name, type] : {std::pair("<|end|>", 3), {"<|user|>", 3}, {"<think>", 4}, {"</think>", 4}}) {
    tokens.emplace_back(name);
    std::get<std::vector<int32_t>>(types.items).push_back(type);
  }
  GgufWriter writer;
  writer.set("general.architecture", std::string("qwen2"));
  writer.set("tokenizer.ggml.model", std::string("gpt2"));
  writer.set("tokenizer.ggml.pre", std::string("gpt-2"));
  writer.set_strings("tokenizer.ggml.tokens", tokens);
  writer.set("tokenizer.ggml.token_type", std::make_shared<const GgufArray>(std::move(types)));
  writer.set_strings("tokenizer.ggml.merges", {});
  writer.set("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(kEndToken));

  const auto path = std::filesystem::temp_directory_path() / fmt::format("retort-byte-tokenizer-{}.gguf", ::getpid());
  EXPECT_TRUE(writer.write(path));
  Result<Gguf> file = Gguf::open(path);
  std::filesystem::remove(path);
  RETORT_CHECK(file.has_value());
  Result<Tokenizer> tokenizer = Tokenizer::from_gguf(*file);
  if (!tokenizer) fmt::print(stderr, "{}\n", tokenizer.error().message);
  RETORT_CHECK(tokenizer.has_value());
  return std::move(*tokenizer);
}

}  // namespace retort::testing
