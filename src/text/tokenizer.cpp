#include "text/tokenizer.h"

#include <algorithm>

#include "text/tokenizer_parts.h"
#include "text/unicode.h"

namespace retort {

Tokenizer::Tokenizer(std::unique_ptr<const TokenizerParts> parts) : parts_(std::move(parts)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

// Text between added tokens.
void TokenizerParts::encode_text(std::string_view text, bool at_start, Pieces& pieces,
                                 std::vector<TokenId>& out) const {
  pre_tokenizer.split(text, at_start, pieces);
  for (const Span span : pieces.spans) bpe->encode(pieces.text.substr(span.begin, span.end - span.begin), out);
}

void TokenizerParts::encode_valid(std::string_view text, bool at_start, bool with_control, Pieces& pieces,
                                  std::vector<TokenId>& out) const {
  std::vector<AddedTokens::Part> parts, inner;
  raw_tokens.split(text, with_control, parts);
  std::string storage;
  for (const AddedTokens::Part& part : parts) {
    if (part.id >= 0) {
      out.push_back(part.id);
      continue;
    }
    const bool first = at_start && part.text.data() == text.data();
    const std::string_view normalized = normalizer.apply(part.text, storage);
    if (normalized_tokens.empty()) {
      encode_text(normalized, first, pieces, out);
      continue;
    }
    inner.clear();
    normalized_tokens.split(normalized, with_control, inner);
    for (const AddedTokens::Part& piece : inner) {
      if (piece.id >= 0)
        out.push_back(piece.id);
      else
        encode_text(piece.text, first && piece.text.data() == normalized.data(), pieces, out);
    }
  }
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  const TokenizerParts& parts = *parts_;
  std::vector<TokenId> ids;
  ids.reserve(text.size() / 3 + 8);
  if (options.add_special) ids = parts.prefix;
  const size_t body = ids.size();

  Pieces pieces;
  for (size_t pos = 0; pos < text.size();) {
    const size_t valid = valid_utf8_prefix(text.substr(pos));
    if (valid > 0) parts.encode_valid(text.substr(pos, valid), pos == 0, options.parse_special, pieces, ids);
    pos += valid;
    if (pos == text.size()) break;
    // Damage keeps its bytes: what is decoded again is what was given.
    const size_t damage = next_utf8(text, pos).length;
    for (const char& byte : text.substr(pos, damage)) parts.bpe->encode({&byte, 1}, ids);
    pos += damage;
  }

  const bool begins_twice = body > 0 && ids.size() > body && parts.bos == ids[body] && ids[body - 1] == ids[body];
  if (begins_twice) ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(body));
  if (options.add_special) ids.insert(ids.end(), parts.suffix.begin(), parts.suffix.end());
  return ids;
}

std::string_view Tokenizer::token_bytes(TokenId id) const {
  return id >= 0 && id < vocab_size() ? parts_->bytes.view(static_cast<size_t>(id)) : std::string_view();
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  std::string bytes;
  for (const TokenId id : ids)
    if (!skip_special || !is_special(id)) bytes += token_bytes(id);
  std::string_view text = bytes;
  if (parts_->strip_leading_space && text.starts_with(' ')) text.remove_prefix(1);
  return replace_invalid_utf8(text);
}

int32_t Tokenizer::vocab_size() const { return static_cast<int32_t>(parts_->kinds.size()); }

TokenKind Tokenizer::kind(TokenId id) const {
  return id >= 0 && id < vocab_size() ? parts_->kinds[static_cast<size_t>(id)] : TokenKind::kUnused;
}

bool Tokenizer::is_special(TokenId id) const {
  return kind(id) == TokenKind::kControl || kind(id) == TokenKind::kUnknown;
}

std::optional<TokenId> Tokenizer::find(std::string_view token) const {
  const int32_t id = parts_->bytes.find(token);
  return id < 0 ? std::nullopt : std::optional<TokenId>(id);
}

std::optional<TokenId> Tokenizer::bos() const { return parts_->bos; }
const std::vector<TokenId>& Tokenizer::stop_tokens() const { return parts_->stops; }
bool Tokenizer::adds_bos() const {
  return parts_->bos && std::find(parts_->prefix.begin(), parts_->prefix.end(), *parts_->bos) != parts_->prefix.end();
}

}  // namespace retort
