// Text to token ids and back, identical to Hugging Face's `tokenizers`. Immutable after loading; any thread may use it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"
#include "formats/hf_folder.h"

namespace retort {

using TokenId = int32_t;
struct TokenizerParts;  // tokenizer_parts.h

enum class TokenKind : uint8_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

struct EncodeOptions {
  bool add_special = true;  // BOS (and EOS) as the model wants them; never a second BOS when the text begins with one
  bool parse_special = false;  // control tokens spelled out in the text become those tokens; false for what users write
};

class Tokenizer {
 public:
  // GGUF models "gpt2" (byte-level BPE; pre-tokenizers qwen2, deepseek-r1-qwen, llama-bpe, smollm, gpt-2, deepseek-llm,
  // deepseek-coder) and "llama" (SentencePiece BPE). Another kind is kUnsupported, by name.
  static Result<Tokenizer> from_gguf(const Gguf& file);
  // tokenizer.json with a BPE model, byte-level or SentencePiece-like.
  static Result<Tokenizer> from_hf(const HfFolder& folder);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const;
  // The bytes a token stands for; may be part of a UTF-8 sequence. Control tokens give their name ("<|im_end|>"). Empty
  // for ids out of range.
  std::string_view token_bytes(TokenId id) const;
  // Joins tokens; invalid UTF-8 becomes U+FFFD as Python's errors="replace" has it.
  std::string decode(std::span<const TokenId> ids, bool skip_special) const;

  int32_t vocab_size() const;
  TokenKind kind(TokenId id) const;
  bool is_special(TokenId id) const;                          // control tokens and <unk>: what skip_special leaves out
  std::optional<TokenId> find(std::string_view token) const;  // by its exact bytes or name
  std::optional<TokenId> bos() const;
  bool adds_bos() const;
  // EOS, and end-of-turn tokens (<|im_end|>, <|eot_id|>, …): generation ends at any.
  const std::vector<TokenId>& stop_tokens() const;

 private:
  explicit Tokenizer(std::unique_ptr<const TokenizerParts> parts);
  std::unique_ptr<const TokenizerParts> parts_;
};

}  // namespace retort
