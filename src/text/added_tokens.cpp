#include "text/added_tokens.h"

#include <algorithm>

#include "text/unicode.h"

namespace retort {
namespace {

// Where the white space at the end of text[begin, end) starts.
size_t trailing_space_begin(std::string_view text, size_t begin, size_t end) {
  while (end > begin) {
    size_t at = end - 1;
    while (at > begin && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) --at;
    if (!is_unicode_space(next_utf8(text, at).code)) break;
    end = at;
  }
  return end;
}

size_t leading_space_end(std::string_view text, size_t pos) {
  while (pos < text.size()) {
    const Utf8Step step = next_utf8(text, pos);
    if (!is_unicode_space(step.code)) break;
    pos += step.length;
  }
  return pos;
}

}  // namespace

void AddedTokens::add(Token token) {
  if (token.content.empty()) return;
  uint32_t at = 0;
  for (const char c : token.content) {
    const auto byte = static_cast<uint8_t>(c);
    auto& next = nodes_[at].next;
    const auto found = std::find_if(next.begin(), next.end(), [&](const auto& edge) { return edge.first == byte; });
    if (found != next.end()) {
      at = found->second;
    } else {
      const auto fresh = static_cast<uint32_t>(nodes_.size());
      next.emplace_back(byte, fresh);
      nodes_.emplace_back();
      at = fresh;
    }
  }
  if (nodes_[at].token >= 0) return;  // the same text twice: the first has it, as in Hugging Face's tokenizers
  first_byte_[static_cast<uint8_t>(token.content[0])] = true;
  nodes_[at].token = static_cast<int32_t>(tokens_.size());
  tokens_.push_back(std::move(token));
}

const AddedTokens::Token* AddedTokens::longest_at(std::string_view text, size_t pos) const {
  int32_t longest = -1;
  uint32_t at = 0;
  for (; pos < text.size(); ++pos) {
    const auto byte = static_cast<uint8_t>(text[pos]);
    const auto& next = nodes_[at].next;
    const auto found = std::find_if(next.begin(), next.end(), [&](const auto& edge) { return edge.first == byte; });
    if (found == next.end()) break;
    at = found->second;
    if (nodes_[at].token >= 0) longest = nodes_[at].token;
  }
  return longest < 0 ? nullptr : &tokens_[static_cast<size_t>(longest)];
}

void AddedTokens::split(std::string_view text, bool with_control, std::vector<Part>& parts) const {
  size_t done = 0;
  for (size_t pos = 0; pos < text.size(); ++pos) {
    if (!first_byte_[static_cast<uint8_t>(text[pos])]) continue;
    const Token* token = longest_at(text, pos);
    if (token == nullptr) continue;
    const size_t match_end = pos + token->content.size();
    if (!token->control || with_control) {
      const size_t begin = token->lstrip ? trailing_space_begin(text, done, pos) : pos;
      if (begin > done) parts.push_back({text.substr(done, begin - done), -1});
      done = token->rstrip ? leading_space_end(text, match_end) : match_end;
      parts.push_back({text.substr(begin, done - begin), token->id});
    }
    pos = std::max(match_end, done) - 1;
  }
  if (done < text.size()) parts.push_back({text.substr(done), -1});
}

}  // namespace retort
