// Byte-pair encoding of one piece of text. Immutable after construction; any thread may use it.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/string_table.h"

namespace retort {

struct BpeMerge {
  int32_t left, right, merged;
  uint32_t rank;  // the lowest is merged first; of equal ones the leftmost
};

struct BpeOptions {
  bool bytes_are_symbols = true;  // a piece starts as its bytes; else as its characters
  bool ignore_merges = false;     // a piece that is a token is that token, whatever merging would give
  std::array<int32_t, 256>
      byte_tokens{};          // token of each byte, -1 when there is none; for characters: what unknown ones become
  int32_t unknown = -1;       // token of what has no other; -1 drops it
  bool fuse_unknown = false;  // one for a whole run
};

class Bpe {
 public:
  // `pieces` finds tokens by the bytes they match in text, for what pieces may become; it must outlive this.
  Bpe(const StringTable& pieces, const std::vector<BpeMerge>& merges, const BpeOptions& options);

  // Appends the tokens of `piece`. O(n log n) in its length at worst.
  void encode(std::string_view piece, std::vector<int32_t>& out) const;

 private:
  static constexpr uint32_t kNoRank = UINT32_MAX;
  struct Rule {
    uint64_t pair = UINT64_MAX;  // left << 32 | right
    uint32_t rank = kNoRank;
    int32_t merged = -1;
  };
  static uint64_t pair_of(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  size_t slot_of(uint64_t pair) const { return static_cast<size_t>(pair * 0x9E3779B97F4A7C15ULL >> rule_shift_); }
  // The rule for a pair, or one without a rank.
  const Rule& rule_of(int32_t left, int32_t right) const;
  void append_bytes(std::string_view piece, std::vector<int32_t>& out) const;
  void append_characters(std::string_view piece, std::vector<int32_t>& out) const;
  void merge_short(std::vector<int32_t>& symbols, size_t begin) const;
  void merge_long(std::vector<int32_t>& symbols, size_t begin) const;
  void encode_by_merging(std::string_view piece, std::vector<int32_t>& out) const;

  const StringTable& pieces_;
  BpeOptions options_;
  std::vector<Rule> rules_;  // open addressing, a power of two, at most two thirds full
  int rule_shift_ = 0;
  std::vector<bool> whole_;  // tokens that merging yields from their own text: such a piece needs no merging
};

}  // namespace retort
