// The parts of a tokenizer, as its loaders (tokenizer_gguf.cpp, tokenizer_hf.cpp) put them together.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/normalizer.h"
#include "text/pre_tokenizer.h"
#include "text/string_table.h"
#include "text/tokenizer.h"

namespace retort {

struct TokenizerParts {
  StringTable texts;  // what each token matches in normalised text, byte-level alphabets undone
  StringTable bytes;  // what each token stands for in output
  std::vector<TokenKind> kinds;

  AddedTokens raw_tokens;         // cut out of the text as it came
  AddedTokens normalized_tokens;  // cut out of normalised text
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::unique_ptr<Bpe> bpe;

  std::vector<TokenId> prefix, suffix;  // added around the text: BOS and EOS
  std::optional<TokenId> bos;
  std::vector<TokenId> stops;
  bool strip_leading_space = false;  // the space SentencePiece puts before text is not part of what is decoded

  void encode_text(std::string_view text, bool at_start, Pieces& pieces, std::vector<TokenId>& out) const;
  void encode_valid(std::string_view text, bool at_start, bool with_control, Pieces& pieces,
                    std::vector<TokenId>& out) const;
};

// Tokens as a file lists them, before they are taken apart for matching.
struct RawVocabulary {
  std::vector<std::string> tokens;  // as the file spells them
  std::vector<TokenKind> kinds;
};

// What both loaders know about the BPE model.
struct RawBpe {
  bool byte_level =
      true;  // tokens are spelled in GPT-2's alphabet of printable bytes; else in characters with ▁ for space
  std::vector<BpeMerge> merges;
  BpeOptions options;
};

// Fills texts, bytes, kinds and the BPE of `parts`.
void build_vocabulary(TokenizerParts& parts, const RawVocabulary& vocabulary, RawBpe bpe);

// Resolves merges spelled as token pairs; a part or result that is no token is an error naming it.
Result<std::vector<BpeMerge>> resolve_merges(const RawVocabulary& vocabulary,
                                             const std::vector<std::pair<std::string_view, std::string_view>>& pairs);

// The bytes a token spelled in GPT-2's alphabet stands for, or nothing when a character is not of that alphabet.
std::optional<std::string> bytes_of_alphabet(std::string_view token);
// The byte a token named "<0x0A>" stands for, or -1.
int byte_of_token_name(std::string_view name);
// Names that only a prompt's template writes ("<|im_end|>", "<｜User｜>"), whatever kind the file gives them.
bool looks_like_control(std::string_view name);
// Adds to `parts.stops` what ends generation by its name, as llama.cpp does, besides `ids`.
void collect_stops(TokenizerParts& parts, const std::vector<TokenId>& ids);

}  // namespace retort
