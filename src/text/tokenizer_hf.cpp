// tokenizer.json of Hugging Face's tokenizers: BPE models, with the normalizers, pre-tokenizers, post-processors and
// decoders that byte-level and SentencePiece-like ones use. What is not known here is refused by name, so that no model
// silently gets other tokens.
#include <algorithm>

#include "text/tokenizer_parts.h"

namespace retort {
namespace {

using Value = nlohmann::json;

std::string type_of(const Value& part) { return part.is_object() ? part.value("type", "") : std::string(); }

tl::unexpected<Error> unsupported(std::string_view where, std::string_view what) {
  return fail(ErrorKind::kUnsupported, "[tokenizer] tokenizer.json: {} {} is not supported", where, what);
}

// A member, or null when there is none.
const Value& member(const Value& object, const char* key) {
  static const Value kNull;
  const auto at = object.find(key);
  return at == object.end() ? kNull : *at;
}

// The parts of a Sequence (which may nest, a little), or the one part there is, or none.
std::vector<const Value*> flatten(const Value& part, const char* list_name, int depth = 0) {
  if (part.is_null()) return {};
  if (type_of(part) != "Sequence" || depth > 8) return {&part};
  std::vector<const Value*> flat;
  for (const Value& inner : part.at(list_name))
    for (const Value* one : flatten(inner, list_name, depth + 1)) flat.push_back(one);
  return flat;
}

// A member that may be absent or null.
template <class T>
T value_or(const Value& object, const char* key, T fallback) {
  const auto at = object.find(key);
  return at == object.end() || at->is_null() ? std::move(fallback) : at->get<T>();
}

Result<std::string> literal_pattern(const Value& part, std::string_view where) {
  const Value& pattern = part.at("pattern");
  if (!pattern.contains("String")) return unsupported(where, fmt::format("with the pattern {}", pattern.dump()));
  return pattern.at("String").get<std::string>();
}

Status load_normalizer(const Value& root, Normalizer& normalizer) {
  for (const Value* part : flatten(root, "normalizers")) {
    const std::string type = type_of(*part);
    if (type == "NFC") {
      normalizer.add(Normalizer::Nfc{});
    } else if (type == "Prepend") {
      normalizer.add(Normalizer::Prepend{part->at("prepend").get<std::string>()});
    } else if (type == "Replace") {
      RETORT_ASSIGN(auto from, literal_pattern(*part, "normalizer Replace"));
      normalizer.add(Normalizer::Replace{std::move(from), part->at("content").get<std::string>()});
    } else {
      return unsupported("normalizer", type);
    }
  }
  return {};
}

std::string escape_regex(std::string_view literal) {
  std::string out;
  for (const char c : literal) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 && !std::isalnum(byte) && !std::isspace(byte) && c != '_') out += '\\';
    out += c;
  }
  return out;
}

Result<SplitBehavior> behavior_of(const std::string& name) {
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  return unsupported("pre_tokenizer behavior", name);
}

Result<PreTokenizer::Metaspace> metaspace_of(const Value& part) {
  using Prepend = PreTokenizer::Metaspace::Prepend;
  PreTokenizer::Metaspace metaspace;
  metaspace.replacement = part.at("replacement").get<std::string>();
  metaspace.split = value_or(part, "split", true);
  const std::string scheme =
      value_or<std::string>(part, "prepend_scheme", value_or(part, "add_prefix_space", true) ? "always" : "never");
  if (scheme != "always" && scheme != "first" && scheme != "never")
    return unsupported("pre_tokenizer Metaspace prepend_scheme", scheme);
  metaspace.prepend = scheme == "always" ? Prepend::kAlways : scheme == "first" ? Prepend::kFirst : Prepend::kNever;
  return metaspace;
}

Status add_split(std::string_view pattern, SplitBehavior behavior, bool invert, PreTokenizer& pre) {
  RETORT_ASSIGN(auto regex, SplitRegex::compile(pattern));
  pre.add(PreTokenizer::Split{std::move(regex), behavior, invert});
  return {};
}

Status load_pre_tokenizer_part(const Value& part, PreTokenizer& pre, bool& byte_level) {
  const std::string type = type_of(part);
  if (type == "Split") {
    const Value& pattern = part.at("pattern");
    const std::string regex = pattern.contains("Regex") ? pattern.at("Regex").get<std::string>()
                                                        : escape_regex(pattern.at("String").get<std::string>());
    RETORT_ASSIGN(const auto behavior, behavior_of(part.at("behavior").get<std::string>()));
    return add_split(regex, behavior, value_or(part, "invert", false), pre);
  }
  if (type == "Digits") {
    const bool each = value_or(part, "individual_digits", false);
    // Rust's numbers are a little newer than Oniguruma's: Unicode 17.
    return add_split(R"([\p{N}\x{11DE0}-\x{11DE9}\x{16FF4}-\x{16FF6}])",
                     each ? SplitBehavior::kIsolated : SplitBehavior::kContiguous, false, pre);
  }
  if (type == "ByteLevel") {
    byte_level = true;
    if (value_or(part, "add_prefix_space", true)) pre.add(PreTokenizer::SpacePrefix{});
    if (!value_or(part, "use_regex", true)) return {};
    return add_split(kGpt2SplitPattern, SplitBehavior::kIsolated, false, pre);
  }
  if (type == "Metaspace") {
    RETORT_ASSIGN(auto metaspace, metaspace_of(part));
    pre.add(std::move(metaspace));
    return {};
  }
  return unsupported("pre_tokenizer", type);
}

// What decoding does besides joining the tokens' texts.
struct Decoder {
  bool byte_level = false;
  bool byte_fallback = false;  // tokens named <0x0A> are bytes
  bool space_marks = false;    // ▁ is a space
  bool strip_leading_space = false;
};

Result<Decoder> read_decoder(const Value& root) {
  Decoder decoder;
  for (const Value* part : flatten(root, "decoders")) {
    const std::string type = type_of(*part);
    if (type == "ByteLevel") {
      decoder.byte_level = true;
    } else if (type == "ByteFallback") {
      decoder.byte_fallback = true;
    } else if (type == "Replace") {
      RETORT_ASSIGN(const auto from, literal_pattern(*part, "decoder Replace"));
      const auto to = part->at("content").get<std::string>();
      if (from != "\u2581" || to != " ") return unsupported("decoder Replace", fmt::format("'{}' by '{}'", from, to));
      decoder.space_marks = true;
    } else if (type == "Metaspace") {
      RETORT_ASSIGN(const auto metaspace, metaspace_of(*part));
      if (metaspace.replacement != "\u2581") return unsupported("decoder Metaspace", metaspace.replacement);
      decoder.space_marks = true;
      decoder.strip_leading_space = metaspace.prepend != PreTokenizer::Metaspace::Prepend::kNever;
    } else if (type == "Strip") {
      if (part->at("content") != " " || part->at("start") != 1 || part->at("stop") != 0)
        return unsupported("decoder Strip", part->dump());
      decoder.strip_leading_space = true;
    } else if (type != "Fuse") {
      return unsupported("decoder", type);
    }
  }
  return decoder;
}

void put(RawVocabulary& vocabulary, size_t id, const std::string& token, TokenKind kind) {
  if (id >= vocabulary.tokens.size()) {
    vocabulary.tokens.resize(id + 1);
    vocabulary.kinds.resize(id + 1, TokenKind::kUnused);
  }
  vocabulary.tokens[id] = token;
  vocabulary.kinds[id] = kind;
}

Result<size_t> id_of(const Value& value, std::string_view name) {
  // Far above any vocabulary; a file that lies cannot make us allocate what it likes.
  constexpr int64_t kMaxId = 10'000'000;
  const auto id = value.get<int64_t>();
  if (id < 0 || id > kMaxId)
    return fail(ErrorKind::kBadInput, "[tokenizer] tokenizer.json: token '{}' has the id {}", name, id);
  return static_cast<size_t>(id);
}

Result<RawVocabulary> read_vocabulary(const Value& json, bool byte_fallback) {
  RawVocabulary vocabulary;
  for (const auto& [token, value] : json.at("model").at("vocab").items()) {
    RETORT_ASSIGN(const size_t id, id_of(value, token));
    put(vocabulary, id, token, byte_fallback && byte_of_token_name(token) >= 0 ? TokenKind::kByte : TokenKind::kNormal);
  }
  for (const Value& added : member(json, "added_tokens")) {
    const auto content = added.at("content").get<std::string>();
    RETORT_ASSIGN(const size_t id, id_of(added.at("id"), content));
    const bool control = value_or(added, "special", false) || looks_like_control(content);
    put(vocabulary, id, content, control ? TokenKind::kControl : TokenKind::kUserDefined);
  }
  if (vocabulary.tokens.empty())
    return fail(ErrorKind::kBadInput, "[tokenizer] tokenizer.json: the vocabulary is empty");
  return vocabulary;
}

Result<std::vector<BpeMerge>> read_merges(const Value& model, const RawVocabulary& vocabulary) {
  const Value& merges = model.at("merges");
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  pairs.reserve(merges.size());
  for (const Value& merge : merges) {
    if (merge.is_array() && merge.size() == 2) {
      pairs.emplace_back(merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>());
      continue;
    }
    const std::string_view line = merge.get_ref<const std::string&>();
    const size_t space = line.find(' ');
    if (space == std::string_view::npos)
      return fail(ErrorKind::kBadInput, "[tokenizer] tokenizer.json: expected a merge of two tokens, file holds '{}'",
                  line);
    pairs.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
  return resolve_merges(vocabulary, pairs);
}

Status check_model(const Value& model) {
  const std::string type = value_or<std::string>(model, "type", "BPE");
  if (type != "BPE") return unsupported("model", fmt::format("{} (BPE is)", type));
  if (value_or(model, "dropout", 0.0) != 0.0) return unsupported("model", "with dropout");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!value_or<std::string>(model, key, "").empty()) return unsupported("model", fmt::format("with {}", key));
  return {};
}

int32_t find_token(const RawVocabulary& vocabulary, std::string_view name) {
  const auto at = std::find(vocabulary.tokens.begin(), vocabulary.tokens.end(), name);
  return name.empty() || at == vocabulary.tokens.end() ? -1 : static_cast<int32_t>(at - vocabulary.tokens.begin());
}

Status add_added_tokens(const Value& json, const RawVocabulary& vocabulary, TokenizerParts& parts) {
  for (const Value& added : member(json, "added_tokens")) {
    AddedTokens::Token token;
    token.content = added.at("content").get<std::string>();
    token.id = added.at("id").get<int32_t>();
    token.control = vocabulary.kinds[static_cast<size_t>(token.id)] == TokenKind::kControl;
    token.lstrip = value_or(added, "lstrip", false);
    token.rstrip = value_or(added, "rstrip", false);
    if (value_or(added, "single_word", false))
      return unsupported("added token", fmt::format("'{}' with single_word", token.content));
    if (!value_or(added, "normalized", true)) {
      parts.raw_tokens.add(std::move(token));
      continue;
    }
    std::string storage;
    token.content = parts.normalizer.apply(token.content, storage);
    parts.normalized_tokens.add(std::move(token));
  }
  return {};
}

// The tokens the post-processor puts around a text.
Status load_post_processor(const Value& root, TokenizerParts& parts) {
  for (const Value* part : flatten(root, "processors")) {
    const std::string type = type_of(*part);
    if (type == "ByteLevel") continue;
    if (type != "TemplateProcessing") return unsupported("post_processor", type);
    bool after_text = false;
    for (const Value& piece : part->at("single")) {
      if (piece.contains("Sequence")) {
        after_text = true;
        continue;
      }
      const auto name = piece.at("SpecialToken").at("id").get<std::string>();
      for (const Value& id : part->at("special_tokens").at(name).at("ids"))
        (after_text ? parts.suffix : parts.prefix).push_back(id.get<TokenId>());
    }
  }
  for (const auto& ids : {parts.prefix, parts.suffix})
    for (const TokenId id : ids)
      if (id < 0 || static_cast<size_t>(id) >= parts.kinds.size())
        return fail(ErrorKind::kBadInput,
                    "[tokenizer] tokenizer.json: post_processor adds token {}, which is not in the vocabulary", id);
  return {};
}

// tokenizer_config.json gives a token by its name or as an object with "content".
std::string token_name(const Value& config, const char* key) {
  const Value& value = member(config, key);
  if (value.is_string()) return value.get<std::string>();
  return value.is_object() ? value_or<std::string>(value, "content", "") : std::string();
}

// transformers' Llama tokenizers put together the post-processor themselves, from these flags.
void apply_llama_flags(const Value& config, std::optional<TokenId> bos, std::optional<TokenId> eos,
                       TokenizerParts& parts) {
  const auto type = value_or<std::string>(config, "tokenizer_class", "");
  if (type != "LlamaTokenizer" && type != "LlamaTokenizerFast") return;
  if (config.contains("add_bos_token"))
    parts.prefix.assign(value_or(config, "add_bos_token", false) && bos ? 1 : 0, bos.value_or(-1));
  if (config.contains("add_eos_token"))
    parts.suffix.assign(value_or(config, "add_eos_token", false) && eos ? 1 : 0, eos.value_or(-1));
}

Status append_eos(const Value& config, size_t vocab_size, std::vector<TokenId>& stops) {
  const Value& found = member(config, "eos_token_id");
  for (const Value& id : found.is_array() ? found : Value::array({found})) {
    if (!id.is_number_integer()) continue;
    const auto number = id.get<int64_t>();
    if (number < 0 || number >= static_cast<int64_t>(vocab_size))
      return fail(ErrorKind::kBadInput, "[config.json] eos_token_id: expected one of {} tokens, got {}", vocab_size,
                  number);
    stops.push_back(static_cast<TokenId>(number));
  }
  return {};
}

Status load(const HfFolder& folder, TokenizerParts& parts) {
  const Value& json = folder.tokenizer();
  const Value empty = Value::object();
  const Value& config = folder.tokenizer_config().is_object() ? folder.tokenizer_config() : empty;
  const Value& model = member(json, "model");
  if (!model.is_object())
    return fail(ErrorKind::kBadInput, "[tokenizer.json] model: expected an object, got {}", model.type_name());
  RETORT_TRY(check_model(model));

  RawBpe bpe;
  bpe.byte_level = false;
  for (const Value* part : flatten(member(json, "pre_tokenizer"), "pretokenizers"))
    RETORT_TRY(load_pre_tokenizer_part(*part, parts.pre_tokenizer, bpe.byte_level));
  RETORT_TRY(load_normalizer(member(json, "normalizer"), parts.normalizer));
  RETORT_ASSIGN(const Decoder decoder, read_decoder(member(json, "decoder")));
  const bool byte_fallback = value_or(model, "byte_fallback", false);
  if (decoder.byte_level != bpe.byte_level || decoder.byte_fallback != byte_fallback ||
      decoder.space_marks == bpe.byte_level)
    return unsupported("decoder", "that does not undo what the pre_tokenizer and model do");
  parts.strip_leading_space = decoder.strip_leading_space;

  RETORT_ASSIGN(const RawVocabulary vocabulary, read_vocabulary(json, byte_fallback));
  RETORT_ASSIGN(bpe.merges, read_merges(model, vocabulary));
  bpe.options.ignore_merges = value_or(model, "ignore_merges", false);
  bpe.options.fuse_unknown = value_or(model, "fuse_unk", false);
  bpe.options.unknown = find_token(vocabulary, value_or<std::string>(model, "unk_token", ""));
  build_vocabulary(parts, vocabulary, std::move(bpe));
  RETORT_TRY(add_added_tokens(json, vocabulary, parts));
  RETORT_TRY(load_post_processor(member(json, "post_processor"), parts));

  const auto named = [&](const char* key) {
    const int32_t id = find_token(vocabulary, token_name(config, key));
    return id < 0 ? std::nullopt : std::optional<TokenId>(id);
  };
  parts.bos = named("bos_token");
  const auto eos = named("eos_token");
  apply_llama_flags(config, parts.bos, eos, parts);
  std::vector<TokenId> stops;
  if (eos) stops.push_back(*eos);
  RETORT_TRY(append_eos(folder.config(), vocabulary.tokens.size(), stops));
  RETORT_TRY(append_eos(folder.generation_config(), vocabulary.tokens.size(), stops));
  collect_stops(parts, stops);
  return {};
}

}  // namespace

Result<Tokenizer> Tokenizer::from_hf(const HfFolder& folder) {
  if (!folder.tokenizer().is_object())
    return fail(ErrorKind::kNotFound, "[tokenizer] the folder has no tokenizer.json");
  auto parts = std::make_unique<TokenizerParts>();
  try {
    RETORT_TRY(load(folder, *parts));
  } catch (const nlohmann::json::exception& error) {
    return fail(ErrorKind::kBadInput, "[tokenizer] tokenizer.json: {}", error.what());
  }
  return Tokenizer(std::move(parts));
}

}  // namespace retort
