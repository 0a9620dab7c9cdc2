#include <algorithm>
#include <charconv>
#include <map>

#include "text/tokenizer_parts.h"

namespace retort {
namespace {

constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLineBreak = R"([\r\n])";
constexpr std::string_view kAsianScripts = R"([\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+)";
// Cased letters and punctuation as the makers of deepseek-llm listed them.
constexpr std::string_view kDeepseekLlmLetters =
    R"(\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF})"
    R"(\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-)"
    R"(\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD})"
    R"(\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15})"
    R"(\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-)"
    R"(\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3})"
    R"(\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113})"
    R"(\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-)"
    R"(\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE})"
    R"(\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E})"
    R"(\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F})"
    R"(\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900})"
    R"(-\x{1E943}]+)";
constexpr std::string_view kDeepseekLlmPunctuation =
    R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)";

struct PreTokenizerKind {
  std::string_view name;                   // tokenizer.ggml.pre
  std::vector<std::string_view> patterns;  // applied one after another, each match a piece of its own
  bool ignore_merges = false;
  bool add_bos = false;  // unless the file says otherwise
  bool nfc = false;      // text is composed first, as by the model's own tokenizer.json; llama.cpp leaves it as it is
};

const std::vector<PreTokenizerKind>& pre_tokenizer_kinds() {
  static const std::vector<PreTokenizerKind> kKinds = {
      {"qwen2", {kQwen2}, false, false, true},
      {"deepseek-r1-qwen", {kQwen2}},
      {"llama-bpe", {kLlama3}, true, true},
      {"llama3", {kLlama3}, true, true},
      {"smollm", {R"(\p{N})", kGpt2SplitPattern}},
      {"gpt-2", {kGpt2SplitPattern}},
      {"deepseek-llm",
       {kLineBreak, kDeepseekLlmLetters, kDeepseekLlmPunctuation, R"(\s+$)", kAsianScripts, R"(\p{N}+)"}},
      {"deepseek-coder", {kLineBreak, R"(\s?\p{L}+)", R"(\s?\p{P}+)", kAsianScripts, R"(\p{N})"}},
  };
  return kKinds;
}

std::string supported_names() {
  std::string names;
  for (const auto& kind : pre_tokenizer_kinds()) names += fmt::format("{}{}", names.empty() ? "" : ", ", kind.name);
  return names;
}

Result<bool> get_flag(const Gguf& file, std::string_view key, bool fallback) {
  if (!file.has(key)) return fallback;
  return file.get_bool(key);
}

Result<std::optional<TokenId>> get_token(const Gguf& file, std::string_view key, size_t vocab_size) {
  if (!file.has(key)) return std::optional<TokenId>();
  RETORT_ASSIGN(const int64_t id, file.get_int(key));
  // Some files mark the absence of a token by -1.
  if (id < 0 || id == 0xFFFFFFFF) return std::optional<TokenId>();
  if (static_cast<uint64_t>(id) >= vocab_size)
    return fail(ErrorKind::kBadInput, "[tokenizer] {}: expected an id below {}, file holds {}", key, vocab_size, id);
  return std::optional<TokenId>(static_cast<TokenId>(id));
}

// Padding of the vocabulary to a round size ("[PAD151936]"), which some converters list as tokens of users.
bool is_padding(std::string_view name) {
  return name.starts_with("[PAD") && name.ends_with(']') && name.size() > 5 &&
         std::all_of(name.begin() + 4, name.end() - 1, [](char c) { return c >= '0' && c <= '9'; });
}

Result<RawVocabulary> read_vocabulary(const Gguf& file) {
  RawVocabulary vocabulary;
  RETORT_ASSIGN(vocabulary.tokens, file.get_strings("tokenizer.ggml.tokens"));
  const size_t count = vocabulary.tokens.size();
  vocabulary.kinds.assign(count, TokenKind::kNormal);
  if (!file.has("tokenizer.ggml.token_type")) return vocabulary;
  RETORT_ASSIGN(const auto types, file.get_ints("tokenizer.ggml.token_type"));
  if (types.size() != count)
    return fail(ErrorKind::kBadInput, "[tokenizer] tokenizer.ggml.token_type: expected {} entries, file holds {}",
                count, types.size());
  for (size_t i = 0; i < count; ++i) {
    const std::string& name = vocabulary.tokens[i];
    if (types[i] < 1 || types[i] > 6) continue;  // "undefined": as good as normal
    TokenKind kind = static_cast<TokenKind>(types[i]);
    if (kind == TokenKind::kUserDefined && is_padding(name)) kind = TokenKind::kUnused;
    if (kind == TokenKind::kUserDefined && looks_like_control(name)) kind = TokenKind::kControl;
    if (kind == TokenKind::kByte && byte_of_token_name(name) < 0) kind = TokenKind::kNormal;
    vocabulary.kinds[i] = kind;
  }
  return vocabulary;
}

void add_named_tokens(TokenizerParts& parts, const RawVocabulary& vocabulary) {
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    const TokenKind kind = vocabulary.kinds[i];
    if (kind != TokenKind::kControl && kind != TokenKind::kUserDefined && kind != TokenKind::kUnknown) continue;
    parts.raw_tokens.add(
        {.content = vocabulary.tokens[i], .id = static_cast<TokenId>(i), .control = kind != TokenKind::kUserDefined});
  }
}

Result<std::vector<BpeMerge>> read_merges(const Gguf& file, const RawVocabulary& vocabulary) {
  RETORT_ASSIGN(const auto lines, file.get_strings("tokenizer.ggml.merges"));
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  pairs.reserve(lines.size());
  for (const std::string& line : lines) {
    const size_t space = line.find(' ', 1);
    if (space == std::string::npos)
      return fail(ErrorKind::kBadInput, "[tokenizer] tokenizer.ggml.merges: expected two tokens, file holds '{}'",
                  line);
    pairs.emplace_back(std::string_view(line).substr(0, space), std::string_view(line).substr(space + 1));
  }
  return resolve_merges(vocabulary, pairs);
}

// SentencePiece merges the neighbours whose union is the token of the highest score: as merges, every cut of a token
// into two tokens.
std::vector<BpeMerge> merges_of_scores(const RawVocabulary& vocabulary, const std::vector<float>& scores) {
  StringTable normal;
  for (const std::string& token : vocabulary.tokens) normal.add(token);
  normal.build_index([&](size_t i) { return vocabulary.kinds[i] == TokenKind::kNormal; });
  std::map<float, uint32_t, std::greater<>> ranks;
  for (const float score : scores) ranks.emplace(score, 0);
  uint32_t next = 0;
  for (auto& [score, rank] : ranks) rank = next++;
  std::vector<BpeMerge> merges;
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    const std::string_view token = vocabulary.tokens[i];
    if (vocabulary.kinds[i] != TokenKind::kNormal || normal.find(token) != static_cast<int32_t>(i)) continue;
    for (size_t cut = 1; cut < token.size(); ++cut) {
      const int32_t left = normal.find(token.substr(0, cut));
      const int32_t right = left < 0 ? -1 : normal.find(token.substr(cut));
      if (right >= 0) merges.push_back({left, right, static_cast<int32_t>(i), ranks.at(scores[i])});
    }
  }
  return merges;
}

Status load_gpt2(const Gguf& file, const RawVocabulary& vocabulary, TokenizerParts& parts, bool& add_bos) {
  if (!file.has("tokenizer.ggml.pre"))
    return fail(ErrorKind::kUnsupported,
                "[tokenizer] tokenizer.ggml.pre is missing: an old file that does not say how its text is cut; convert "
                "it anew");
  RETORT_ASSIGN(const std::string pre, file.get_string("tokenizer.ggml.pre"));
  const auto& kinds = pre_tokenizer_kinds();
  const auto kind = std::find_if(kinds.begin(), kinds.end(), [&](const auto& k) { return k.name == pre; });
  if (kind == kinds.end())
    return fail(ErrorKind::kUnsupported, "[tokenizer] tokenizer.ggml.pre: expected one of {}, file holds '{}'",
                supported_names(), pre);
  if (kind->nfc) parts.normalizer.add(Normalizer::Nfc{});
  for (const std::string_view pattern : kind->patterns) {
    RETORT_ASSIGN(auto regex, SplitRegex::compile(pattern));
    parts.pre_tokenizer.add(PreTokenizer::Split{std::move(regex)});
  }
  RawBpe bpe;
  RETORT_ASSIGN(bpe.merges, read_merges(file, vocabulary));
  bpe.options.ignore_merges = kind->ignore_merges;
  add_bos = kind->add_bos;
  build_vocabulary(parts, vocabulary, std::move(bpe));
  return {};
}

Status load_llama(const Gguf& file, const RawVocabulary& vocabulary, TokenizerParts& parts, bool& add_bos) {
  const size_t count = vocabulary.tokens.size();
  RETORT_ASSIGN(const auto scores, file.get_floats("tokenizer.ggml.scores"));
  if (scores.size() != count)
    return fail(ErrorKind::kBadInput, "[tokenizer] tokenizer.ggml.scores: expected {} entries, file holds {}", count,
                scores.size());
  for (const float score : scores)
    if (!(score == score))
      return fail(ErrorKind::kBadInput, "[tokenizer] tokenizer.ggml.scores: expected numbers, file holds NaN");
  RETORT_ASSIGN(const bool space, get_flag(file, "tokenizer.ggml.add_space_prefix", true));
  RETORT_ASSIGN(const auto unknown, get_token(file, "tokenizer.ggml.unknown_token_id", count));
  // Every text between control tokens gets the prefix, as in llama.cpp.
  if (space) parts.normalizer.add(Normalizer::Prepend{"\u2581"});
  parts.normalizer.add(Normalizer::Replace{" ", "\u2581"});
  parts.strip_leading_space = space;
  RawBpe bpe;
  bpe.byte_level = false;
  bpe.merges = merges_of_scores(vocabulary, scores);
  bpe.options.unknown = unknown.value_or(-1);
  add_bos = true;
  build_vocabulary(parts, vocabulary, std::move(bpe));
  return {};
}

}  // namespace

Result<Tokenizer> Tokenizer::from_gguf(const Gguf& file) {
  RETORT_ASSIGN(const std::string model, file.get_string("tokenizer.ggml.model"));
  RETORT_ASSIGN(RawVocabulary vocabulary, read_vocabulary(file));
  const size_t count = vocabulary.tokens.size();
  if (count == 0 || count > INT32_MAX)
    return fail(ErrorKind::kBadInput, "[tokenizer] tokenizer.ggml.tokens: {} tokens", count);

  RETORT_ASSIGN(const auto bos, get_token(file, "tokenizer.ggml.bos_token_id", count));
  RETORT_ASSIGN(const auto eos, get_token(file, "tokenizer.ggml.eos_token_id", count));
  RETORT_ASSIGN(const auto end_of_turn, get_token(file, "tokenizer.ggml.eot_token_id", count));
  RETORT_ASSIGN(const auto end_of_message, get_token(file, "tokenizer.ggml.eom_token_id", count));
  std::vector<TokenId> stops;
  for (const auto& id : {eos, end_of_turn, end_of_message})
    if (id) stops.push_back(*id);
  for (const TokenId id : stops) vocabulary.kinds[static_cast<size_t>(id)] = TokenKind::kControl;
  if (bos) vocabulary.kinds[static_cast<size_t>(*bos)] = TokenKind::kControl;

  auto parts = std::make_unique<TokenizerParts>();
  bool add_bos = false;
  if (model == "gpt2") {
    RETORT_TRY(load_gpt2(file, vocabulary, *parts, add_bos));
  } else if (model == "llama") {
    RETORT_TRY(load_llama(file, vocabulary, *parts, add_bos));
  } else {
    return fail(ErrorKind::kUnsupported, "[tokenizer] tokenizer.ggml.model: expected gpt2 or llama, file holds '{}'",
                model);
  }
  add_named_tokens(*parts, vocabulary);
  RETORT_ASSIGN(add_bos, get_flag(file, "tokenizer.ggml.add_bos_token", add_bos));
  RETORT_ASSIGN(const bool add_eos, get_flag(file, "tokenizer.ggml.add_eos_token", false));
  parts->bos = bos;
  if (add_bos && bos) parts->prefix = {*bos};
  if (add_eos && eos) parts->suffix = {*eos};
  collect_stops(*parts, stops);
  return Tokenizer(std::move(parts));
}

}  // namespace retort
