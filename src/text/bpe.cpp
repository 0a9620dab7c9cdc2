#include "text/bpe.h"

#include <algorithm>
#include <bit>
#include <queue>

#include "text/unicode.h"

namespace retort {
namespace {

// Up to here searching all pairs for the best is faster than a heap.
constexpr size_t kShortPiece = 64;

}  // namespace

Bpe::Bpe(const StringTable& pieces, const std::vector<BpeMerge>& merges, const BpeOptions& options)
    : pieces_(pieces), options_(options) {
  const size_t capacity = std::bit_ceil(std::max<size_t>(merges.size() + merges.size() / 2, 16));
  rules_.resize(capacity);
  rule_shift_ = 64 - std::countr_zero(capacity);
  for (const BpeMerge& merge : merges) {
    const uint64_t pair = pair_of(merge.left, merge.right);
    size_t at = slot_of(pair);
    while (rules_[at].pair != UINT64_MAX && rules_[at].pair != pair) at = (at + 1) & (capacity - 1);
    // Of a pair listed twice Hugging Face's tokenizers keep the last.
    rules_[at] = {pair, merge.rank, merge.merged};
  }
  whole_.resize(pieces.size());
  std::vector<int32_t> ids;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    if (pieces.find(pieces.view(i)) != id) continue;
    ids.clear();
    if (!options_.ignore_merges) encode_by_merging(pieces.view(i), ids);
    whole_[i] = options_.ignore_merges || (ids.size() == 1 && ids[0] == id);
  }
}

const Bpe::Rule& Bpe::rule_of(int32_t left, int32_t right) const {
  const uint64_t pair = pair_of(left, right);
  size_t at = slot_of(pair);
  while (rules_[at].pair != pair && rules_[at].pair != UINT64_MAX) at = (at + 1) & (rules_.size() - 1);
  return rules_[at];
}

void Bpe::encode(std::string_view piece, std::vector<int32_t>& out) const {
  const int32_t id = pieces_.find(piece);
  if (id >= 0 && whole_[static_cast<size_t>(id)]) {
    out.push_back(id);
    return;
  }
  encode_by_merging(piece, out);
}

void Bpe::encode_by_merging(std::string_view piece, std::vector<int32_t>& out) const {
  const size_t begin = out.size();
  if (options_.bytes_are_symbols)
    append_bytes(piece, out);
  else
    append_characters(piece, out);
  if (out.size() - begin <= kShortPiece)
    merge_short(out, begin);
  else
    merge_long(out, begin);
}

void Bpe::append_bytes(std::string_view piece, std::vector<int32_t>& out) const {
  for (const char c : piece) {
    int32_t id = options_.byte_tokens[static_cast<uint8_t>(c)];
    if (id < 0) id = options_.unknown;
    if (id >= 0) out.push_back(id);
  }
}

void Bpe::append_characters(std::string_view piece, std::vector<int32_t>& out) const {
  bool after_unknown = false;
  for (size_t pos = 0; pos < piece.size();) {
    const size_t length = next_utf8(piece, pos).length;
    const std::string_view character = piece.substr(pos, length);
    pos += length;
    const auto byte_token = [&](char c) { return options_.byte_tokens[static_cast<uint8_t>(c)]; };
    if (const int32_t id = pieces_.find(character); id >= 0) {
      out.push_back(id);
      after_unknown = false;
    } else if (std::all_of(character.begin(), character.end(), [&](char c) { return byte_token(c) >= 0; })) {
      // Bytes do not end a run of unknown characters, as in Hugging Face's tokenizers.
      for (const char c : character) out.push_back(byte_token(c));
    } else if (options_.unknown >= 0 && !(after_unknown && options_.fuse_unknown)) {
      out.push_back(options_.unknown);
      after_unknown = true;
    }
  }
}

void Bpe::merge_short(std::vector<int32_t>& symbols, size_t begin) const {
  size_t count = symbols.size() - begin;
  if (count < 2) return;
  int32_t* ids = symbols.data() + begin;
  // Of the pair that begins at each place.
  uint32_t ranks[kShortPiece];
  int32_t merged[kShortPiece];
  const auto look_up = [&](size_t at) {
    const Rule& rule = rule_of(ids[at], ids[at + 1]);
    ranks[at] = rule.rank;
    merged[at] = rule.merged;
  };
  for (size_t i = 0; i + 1 < count; ++i) look_up(i);
  while (count > 1) {
    const uint32_t* best = std::min_element(ranks, ranks + count - 1);
    if (*best == kNoRank) break;
    const auto at = static_cast<size_t>(best - ranks);
    ids[at] = merged[at];
    std::copy(ids + at + 2, ids + count, ids + at + 1);
    std::copy(ranks + at + 1, ranks + count - 1, ranks + at);
    std::copy(merged + at + 1, merged + count - 1, merged + at);
    --count;
    if (at > 0) look_up(at - 1);
    if (at + 1 < count) look_up(at);
  }
  symbols.resize(begin + count);
}

void Bpe::merge_long(std::vector<int32_t>& symbols, size_t begin) const {
  struct Node {
    int32_t id;     // -1: merged into the one before
    uint32_t rank;  // of the pair with the next one
    uint32_t prev, next;
  };
  const auto count = static_cast<uint32_t>(symbols.size() - begin);
  std::vector<Node> nodes(count);
  // rank << 32 | place: the lowest rank first, of equal ones the leftmost. Entries go stale when their pair changes.
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>> queue;
  const auto push = [&](uint32_t at) {
    Node& node = nodes[at];
    node.rank = node.next < count ? rule_of(node.id, nodes[node.next].id).rank : kNoRank;
    if (node.rank != kNoRank) queue.push(static_cast<uint64_t>(node.rank) << 32 | at);
  };
  for (uint32_t i = 0; i < count; ++i) nodes[i] = {symbols[begin + i], kNoRank, i - 1, i + 1};
  for (uint32_t i = 0; i < count; ++i) push(i);
  while (!queue.empty()) {
    const uint64_t top = queue.top();
    queue.pop();
    const auto at = static_cast<uint32_t>(top);
    Node& left = nodes[at];
    if (left.id < 0 || left.rank != static_cast<uint32_t>(top >> 32)) continue;
    Node& right = nodes[left.next];
    left.id = rule_of(left.id, right.id).merged;
    left.next = right.next;
    right.id = -1;
    if (left.next < count) nodes[left.next].prev = at;
    push(at);
    if (at > 0) push(left.prev);
  }
  size_t kept = begin;
  for (uint32_t i = 0; i < count; i = nodes[i].next) symbols[kept++] = nodes[i].id;
  symbols.resize(kept);
}

}  // namespace retort
