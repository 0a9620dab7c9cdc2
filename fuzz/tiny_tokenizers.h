// Tokenizers of a few tokens beside the bytes, byte-level and SentencePiece.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "formats/gguf.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

namespace retort::fuzzing {

inline GgufValue ints(std::vector<int32_t> items) {
  auto array = std::make_shared<GgufArray>();
  array->items = std::move(items);
  return std::shared_ptr<const GgufArray>(std::move(array));
}

inline GgufValue floats(std::vector<float> items) {
  auto array = std::make_shared<GgufArray>();
  array->items = std::move(items);
  return std::shared_ptr<const GgufArray>(std::move(array));
}

struct Vocabulary {
  std::vector<std::string> tokens;
  std::vector<int32_t> kinds;
  void add(std::string token, int32_t kind) {
    tokens.push_back(std::move(token));
    kinds.push_back(kind);
  }
};

inline Tokenizer load(GgufWriter& writer, const Vocabulary& vocabulary, const char* model) {
  writer.set("tokenizer.ggml.model", std::string(model));
  writer.set_strings("tokenizer.ggml.tokens", vocabulary.tokens);
  writer.set("tokenizer.ggml.token_type", ints(vocabulary.kinds));
  const auto path = std::filesystem::temp_directory_path() / ("retort-fuzz-" + std::to_string(::getpid()) + ".gguf");
  RETORT_CHECK(writer.write(path));
  auto tokenizer = Tokenizer::from_gguf(Gguf::open(path).value());
  std::filesystem::remove(path);
  RETORT_CHECK(tokenizer);
  return std::move(*tokenizer);
}

// pre: "llama-bpe" leaves text as it is, "qwen2" composes it (NFC).
inline Tokenizer byte_level(const std::string& pre = "llama-bpe") {
  Vocabulary vocabulary;
  char32_t next = 0x100;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    std::string token;
    append_utf8(token, printable ? byte : next++);
    vocabulary.add(token, 1);
  }
  for (const char* merged : {"aa", "aaa", "Ġa", "ĠĠ", "ä½", "ab", "aba"}) vocabulary.add(merged, 1);
  for (const char* control : {"<|a|>", "<|ab|>", "<|"}) vocabulary.add(control, 3);
  vocabulary.add("<think>", 4);
  GgufWriter writer;
  writer.set("tokenizer.ggml.pre", pre);
  writer.set_strings("tokenizer.ggml.merges", {"a a", "Ġ a", "Ġ Ġ", "ä ½", "a b", "aa a", "ab a"});
  return load(writer, vocabulary, "gpt2");
}

inline Tokenizer sentencepiece() {
  Vocabulary vocabulary;
  vocabulary.add("<unk>", 2);
  vocabulary.add("<s>", 3);
  for (int byte = 0; byte < 256; ++byte) vocabulary.add(fmt::format("<0x{:02X}>", byte), 6);
  for (const char* piece : {"▁", "a", "b", "ab", "▁a", "▁▁", "aa", "é"}) vocabulary.add(piece, 1);
  std::vector<float> scores;
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) scores.push_back(-static_cast<float>(i % 5));
  GgufWriter writer;
  writer.set("tokenizer.ggml.scores", floats(scores));
  writer.set("tokenizer.ggml.add_space_prefix", false);
  return load(writer, vocabulary, "llama");
}

}  // namespace retort::fuzzing
