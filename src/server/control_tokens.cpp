#include "server/control_tokens.h"

#include <algorithm>

namespace retort {
namespace {

// Noncharacters of Unicode, reserved for uses such as this one.
constexpr std::string_view kOpen = "\uFDD0", kClose = "\uFDD1";

}  // namespace

ControlTokens::ControlTokens(const Tokenizer& tokenizer) {
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.kind(id) != TokenKind::kControl) continue;
    const std::string_view name = tokenizer.token_bytes(id);
    if (name.empty()) continue;
    names_.emplace_back(name);
    longest_ = std::max(longest_, name.size());
    if (first_bytes_.find(name[0]) == std::string::npos) first_bytes_ += name[0];
  }
  std::sort(names_.begin(), names_.end());
}

size_t ControlTokens::length_at(std::string_view text, size_t at) const {
  for (size_t length = std::min(longest_, text.size() - at); length > 0; --length)
    if (std::binary_search(names_.begin(), names_.end(), text.substr(at, length))) return length;
  return 0;
}

bool ControlTokens::mark(Json& messages) const {
  if (messages.is_structured()) {
    bool any = false;
    for (Json& item : messages) any |= mark(item);
    return any;
  }
  if (!messages.is_string() || names_.empty()) return false;
  const std::string& text = messages.get_ref<const std::string&>();
  std::string marked;
  size_t copied = 0;
  for (size_t at = text.find_first_of(first_bytes_); at != std::string::npos;
       at = text.find_first_of(first_bytes_, at)) {
    const size_t length = length_at(text, at);
    if (length == 0) {
      ++at;
      continue;
    }
    marked.append(text, copied, at - copied).append(kOpen).append(text, at, length).append(kClose);
    copied = at += length;
  }
  if (copied == 0) return false;
  marked.append(text, copied);
  messages = std::move(marked);
  return true;
}

std::vector<TokenId> ControlTokens::encode_marked(const Tokenizer& tokenizer, std::string_view prompt,
                                                  bool add_special) {
  std::vector<TokenId> tokens;
  bool is_text = false;
  while (!prompt.empty()) {
    const size_t end = std::min(prompt.find(kOpen), prompt.find(kClose));
    const std::string_view piece = prompt.substr(0, end);
    const auto ids = tokenizer.encode(piece, {.add_special = add_special && tokens.empty(), .parse_special = !is_text});
    tokens.insert(tokens.end(), ids.begin(), ids.end());
    if (end == std::string_view::npos) break;
    is_text = prompt.substr(end).starts_with(kOpen);
    prompt.remove_prefix(end + kOpen.size());
  }
  return tokens;
}

}  // namespace retort
