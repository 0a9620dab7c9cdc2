// What the loaders of GGUF and Hugging Face tokenizers share.
#include <algorithm>

#include "text/tokenizer_parts.h"
#include "text/unicode.h"

namespace retort {
namespace {

// GPT-2's alphabet: printable bytes stand for themselves, the others for the characters from U+0100 on.
std::array<char32_t, 256> byte_alphabet() {
  std::array<char32_t, 256> alphabet{};
  char32_t next = 0x100;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    alphabet[byte] = printable ? byte : next++;
  }
  return alphabet;
}

std::array<int16_t, 0x144> alphabet_bytes() {
  std::array<int16_t, 0x144> bytes;
  bytes.fill(-1);
  const auto alphabet = byte_alphabet();
  for (size_t byte = 0; byte < 256; ++byte) bytes[alphabet[byte]] = static_cast<int16_t>(byte);
  return bytes;
}

constexpr std::string_view kSpaceMark = "\u2581";

std::string with_spaces(std::string_view token) {
  std::string out;
  for (size_t pos = 0; pos < token.size();) {
    const bool mark = token.substr(pos).starts_with(kSpaceMark);
    out += mark ? ' ' : token[pos];
    pos += mark ? kSpaceMark.size() : 1;
  }
  return out;
}

bool is_named(TokenKind kind) {
  return kind == TokenKind::kControl || kind == TokenKind::kUserDefined || kind == TokenKind::kUnknown ||
         kind == TokenKind::kUnused;
}

// What a token stands for in output.
std::string output_of(const std::string& token, TokenKind kind, bool byte_level) {
  if (kind == TokenKind::kByte) return std::string(1, static_cast<char>(byte_of_token_name(token)));
  if (byte_level) return is_named(kind) ? token : bytes_of_alphabet(token).value_or(token);
  return kind == TokenKind::kControl ? token : with_spaces(token);
}

// Whether no token reaches from a word over the space after it: then words can be merged one by one.
bool words_are_independent(const StringTable& texts, const std::vector<BpeMerge>& merges) {
  if (texts.find(kSpaceMark) < 0) return false;
  return std::none_of(merges.begin(), merges.end(), [&](const BpeMerge& merge) {
    return texts.view(static_cast<size_t>(merge.right)).starts_with(kSpaceMark) &&
           !texts.view(static_cast<size_t>(merge.left)).ends_with(kSpaceMark);
  });
}

constexpr std::string_view kStopNames[] = {
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<|end|>",
    "<｜end▁of▁sentence｜>",
    "<end_of_turn>",
    "</s>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
};

}  // namespace

std::optional<std::string> bytes_of_alphabet(std::string_view token) {
  static const std::array<int16_t, 0x144> kBytes = alphabet_bytes();
  std::string out;
  for (size_t pos = 0; pos < token.size();) {
    const Utf8Step step = next_utf8(token, pos);
    if (step.state != Utf8State::kValid || step.code >= kBytes.size() || kBytes[step.code] < 0) return std::nullopt;
    out += static_cast<char>(kBytes[step.code]);
    pos += step.length;
  }
  return out;
}

int byte_of_token_name(std::string_view name) {
  if (name.size() != 6 || !name.starts_with("<0x") || name[5] != '>') return -1;
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; };
  const int high = digit(name[3]), low = digit(name[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

bool looks_like_control(std::string_view name) {
  return (name.starts_with("<|") && name.ends_with("|>") && name.size() > 4) ||
         (name.starts_with("<｜") && name.ends_with("｜>") && name.size() > 8);
}

Result<std::vector<BpeMerge>> resolve_merges(const RawVocabulary& vocabulary,
                                             const std::vector<std::pair<std::string_view, std::string_view>>& pairs) {
  StringTable spelled;
  for (const std::string& token : vocabulary.tokens) spelled.add(token);
  spelled.build_index([](size_t) { return true; });
  std::vector<BpeMerge> merges;
  merges.reserve(pairs.size());
  std::string joined;
  for (const auto& [left, right] : pairs) {
    joined.assign(left).append(right);
    const BpeMerge merge{spelled.find(left), spelled.find(right), spelled.find(joined),
                         static_cast<uint32_t>(merges.size())};
    const std::string_view missing = merge.left < 0     ? left
                                     : merge.right < 0  ? right
                                     : merge.merged < 0 ? joined
                                                        : std::string_view();
    if (!missing.empty())
      return fail(ErrorKind::kBadInput, "[tokenizer] merge {} ('{}' with '{}'): '{}' is not in the vocabulary",
                  merges.size(), left, right, missing);
    merges.push_back(merge);
  }
  return merges;
}

void build_vocabulary(TokenizerParts& parts, const RawVocabulary& vocabulary, RawBpe bpe) {
  parts.kinds = vocabulary.kinds;
  bpe.options.bytes_are_symbols = bpe.byte_level;
  bpe.options.byte_tokens.fill(-1);
  std::vector<bool> matchable(vocabulary.tokens.size());
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    const std::string& token = vocabulary.tokens[i];
    const TokenKind kind = vocabulary.kinds[i];
    std::optional<std::string> text = bpe.byte_level ? bytes_of_alphabet(token) : token;
    matchable[i] = kind == TokenKind::kNormal && text && !text->empty();
    parts.texts.add(text.value_or(token));
    parts.bytes.add(output_of(token, kind, bpe.byte_level));
    int byte = -1;
    if (kind == TokenKind::kByte) byte = byte_of_token_name(token);
    if (bpe.byte_level && matchable[i] && text->size() == 1) byte = static_cast<uint8_t>((*text)[0]);
    if (byte >= 0) bpe.options.byte_tokens[static_cast<size_t>(byte)] = static_cast<int32_t>(i);
  }
  parts.texts.build_index([&](size_t i) { return matchable[i]; });
  parts.bytes.build_index([&](size_t i) { return parts.kinds[i] != TokenKind::kByte; });
  if (!bpe.byte_level && words_are_independent(parts.texts, bpe.merges)) {
    auto words = SplitRegex::compile(R"(\x{2581}+[^\x{2581}]*|[^\x{2581}]+)");
    RETORT_CHECK(words);
    parts.pre_tokenizer.add(PreTokenizer::Split{std::move(*words)});
  }
  parts.bpe = std::make_unique<Bpe>(parts.texts, bpe.merges, bpe.options);
}

void collect_stops(TokenizerParts& parts, const std::vector<TokenId>& ids) {
  parts.stops = ids;
  for (const std::string_view name : kStopNames) {
    const int32_t id = parts.bytes.find(name);
    if (id >= 0 && parts.kinds[static_cast<size_t>(id)] == TokenKind::kControl) parts.stops.push_back(id);
  }
  std::sort(parts.stops.begin(), parts.stops.end());
  parts.stops.erase(std::unique(parts.stops.begin(), parts.stops.end()), parts.stops.end());
}

}  // namespace retort
