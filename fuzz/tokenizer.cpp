// Any bytes as text: encoded by a byte-level and a SentencePiece tokenizer of a few tokens, they come back as they
// were; by one that composes them, as what another pass leaves alone.
#include <cstdint>

#include "text/detokenizer.h"
#include "tiny_tokenizers.h"

namespace {

using namespace retort;

void round_trip(const Tokenizer& tokenizer, std::string_view text, bool parse_special) {
  const auto ids = tokenizer.encode(text, {.add_special = false, .parse_special = parse_special});
  std::string bytes, streamed;
  Detokenizer stream(tokenizer, false);
  for (const TokenId id : ids) {
    bytes += tokenizer.token_bytes(id);
    streamed += stream.push(id);
  }
  streamed += stream.finish();
  RETORT_CHECK(bytes == text);
  RETORT_CHECK(streamed == replace_invalid_utf8(text));
  RETORT_CHECK(tokenizer.decode(ids, false) == streamed);
}

void composes_once(const Tokenizer& tokenizer, std::string_view text) {
  const auto bytes_of = [&](std::string_view given) {
    std::string bytes;
    for (const TokenId id : tokenizer.encode(given, {.add_special = false, .parse_special = false}))
      bytes += tokenizer.token_bytes(id);
    return bytes;
  };
  const std::string composed = bytes_of(text);
  RETORT_CHECK(bytes_of(composed) == composed);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Tokenizer kByteLevel = fuzzing::byte_level();
  static const Tokenizer kComposing = fuzzing::byte_level("qwen2");
  static const Tokenizer kSentencePiece = fuzzing::sentencepiece();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  composes_once(kComposing, text);
  for (const bool parse_special : {false, true}) {
    round_trip(kByteLevel, text, parse_special);
    // The mark U+2581 is a space to SentencePiece and comes back as one.
    if (text.find("\u2581") == std::string_view::npos) round_trip(kSentencePiece, text, parse_special);
  }
  return 0;
}
