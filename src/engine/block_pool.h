// KV blocks of kBlockTokens tokens: who owns which, and which full ones can be found again by what they hold (the
// prefix cache). Counts and tokens only; the memory itself is the model's. Engine thread only.
//
// A block is owned (one reference per sequence whose table holds it) or free. A full block may be cached: then it is
// known by its tokens and its parent, the block before it, and stays findable when free until its memory is needed.
// Nothing writes to a cached block. Equal content is cached once: cache() hands out the block that is known already.
// A tail, the last block of a sequence that ended in the midst of it, may be cached too: it is found by
// find_beginning() only, which also finds full blocks that begin as asked, for a copy to go on from.
//
// Parents outlive children: whoever owns a cached block owns its parent too and releases it afterwards (release_table),
// so the least recently used block never has a cached child, and an index is enough to name a parent exactly.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "kernels/attention.h"
#include "text/tokenizer.h"

namespace retort {

inline constexpr int32_t kNoBlock = -1;

// What a block holds: its tokens, and what stands before them.
struct BlockContent {
  int32_t parent;                   // cached block before it; kNoBlock at the beginning of a sequence
  std::string_view salt;            // beginnings are equal only when their salts are
  std::span<const TokenId> tokens;  // [kBlockTokens], fewer for a tail
};

struct Beginning {
  int32_t block = kNoBlock;
  int64_t num_tokens = 0;  // its first ones, equal to those asked for
};

class BlockPool {
 public:
  // Finds candidates only: equality is always decided by comparing contents. Tests put in one that always collides.
  using HashFunction = uint64_t (*)(uint64_t parent_hash, std::span<const TokenId> tokens);
  static constexpr int kMaxSiblings = 256;
  static uint64_t hash_tokens(uint64_t parent_hash, std::span<const TokenId> tokens);

  BlockPool(int32_t num_blocks, bool enable_caching, HashFunction hash = hash_tokens);

  int32_t num_blocks() const { return static_cast<int32_t>(blocks_.size()) - 1; }
  int32_t num_free() const { return num_free_; }                              // cached ones that nobody owns included
  int32_t num_cached() const { return static_cast<int32_t>(index_.size()); }  // full ones
  int32_t num_refs(int32_t block) const { return blocks_[block].num_refs; }
  bool is_cached(int32_t block) const { return blocks_[block].is_cached; }

  // A block with one reference: one that holds nothing of use, else the least recently used cached one, which is
  // forgotten. kNoBlock when every block is owned.
  int32_t allocate();
  void add_ref(int32_t block);
  // Gives back one reference.
  void release(int32_t block);
  // Gives back one reference of each, last first, and empties the table.
  void release_table(std::vector<int32_t>& table);

  // The cached block of that content with a reference added, or kNoBlock.
  int32_t find(const BlockContent& content);
  // The caller's `block` is now full of `content`. Returns the block to use from here on: `block` itself, or the one
  // that was cached before with the same content; then the reference has moved there.
  int32_t cache(int32_t block, const BlockContent& content);

  // The caller's `block` begins with `content`, fewer than kBlockTokens tokens, and nobody will write to it again. Kept
  // for find_beginning(), unless another cached block begins so already.
  void cache_tail(int32_t block, const BlockContent& content);
  // Of the cached blocks after the same parent, one that shares most of the first tokens with `content`; no reference
  // is added, but it counts as just used. Looks at the kMaxSiblings that were cached last. {kNoBlock, 0}: none shares
  // any.
  Beginning find_beginning(const BlockContent& content);

  // Nothing that is cached now can be found again; what is owned stays with its owners.
  void forget_all();

  // Every block is free or owned with exactly `expected_refs` references, [num_blocks]; lists and index agree; parents
  // are cached.
  Status check_integrity(std::span<const int32_t> expected_refs) const;

 private:
  struct Block {
    int32_t num_refs = 0;
    int32_t prev = kNoBlock, next = kNoBlock;    // neighbours in the free list
    int32_t parent = kNoBlock;                   // the rest is meaningful while is_cached
    int32_t first_child = kNoBlock;              // of the cached blocks that name this one as parent, the newest
    int32_t newer = kNoBlock, older = kNoBlock;  // cached blocks of the same parent
    int32_t num_tokens = 0;                      // kBlockTokens, or fewer of a tail
    bool is_cached = false;
    uint64_t hash = 0;
    std::array<TokenId, kBlockTokens> tokens{};
    std::string salt;
  };

  uint64_t hash_of(const BlockContent& content) const;
  bool holds(const Block& block, const BlockContent& content) const;
  // Before forget_all() it was: what comes after its tokens cannot be told by naming it.
  bool is_parent_forgotten(const BlockContent& content) const {
    return content.parent != kNoBlock && !blocks_[content.parent].is_cached;
  }
  int32_t look_up(uint64_t hash, const BlockContent& content) const;
  Beginning look_up_beginning(const BlockContent& content) const;
  void fill(int32_t block, const BlockContent& content);
  int32_t& first_child(int32_t parent) { return parent == kNoBlock ? first_root_ : blocks_[parent].first_child; }
  void forget(int32_t block);
  void link_before(int32_t block, int32_t successor);
  void unlink(int32_t block);
  int32_t list_end() const { return num_blocks(); }

  bool enable_caching_;
  HashFunction hash_;
  std::vector<Block> blocks_;  // one more than there are: the last is the free list's sentinel
  int32_t num_free_ = 0;
  int32_t first_root_ = kNoBlock;                     // newest cached block without a parent
  std::unordered_multimap<uint64_t, int32_t> index_;  // hash → cached block
};

}  // namespace retort
