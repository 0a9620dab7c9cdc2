#include "engine/block_pool.h"

#include <algorithm>

namespace retort {
namespace {

__extension__ typedef unsigned __int128 Uint128;  // of both compilers, not of the standard

// Multiply, then fold the high half into the low one (wyhash's step): every input bit reaches every output bit.
uint64_t mix(uint64_t a, uint64_t b) {
  const auto product = static_cast<Uint128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

constexpr uint64_t kRoot = 0x9e3779b97f4a7c15, kOdd = 0xe7037ed1a0b428db;

}  // namespace

uint64_t BlockPool::hash_tokens(uint64_t parent_hash, std::span<const TokenId> tokens) {
  uint64_t hash = parent_hash;
  for (TokenId token : tokens) hash = mix(hash ^ static_cast<uint32_t>(token) ^ kRoot, kOdd);
  return hash;
}

BlockPool::BlockPool(int32_t num_blocks, bool enable_caching, HashFunction hash)
    : enable_caching_(enable_caching), hash_(hash), blocks_(static_cast<size_t>(num_blocks) + 1) {
  RETORT_CHECK(num_blocks > 0);
  blocks_[list_end()].prev = blocks_[list_end()].next = list_end();
  for (int32_t i = 0; i < num_blocks; ++i) link_before(i, list_end());
}

int32_t BlockPool::allocate() {
  const int32_t block = blocks_[list_end()].next;
  if (block == list_end()) return kNoBlock;
  if (blocks_[block].is_cached) forget(block);
  unlink(block);
  blocks_[block].num_refs = 1;
  return block;
}

void BlockPool::add_ref(int32_t block) {
  if (blocks_[block].num_refs++ == 0) unlink(block);
}

void BlockPool::release(int32_t block) {
  Block& b = blocks_[block];
  RETORT_CHECK(b.num_refs > 0);
  if (--b.num_refs > 0) return;
  link_before(block, b.is_cached ? list_end() : blocks_[list_end()].next);
}

void BlockPool::release_table(std::vector<int32_t>& table) {
  for (auto it = table.rbegin(); it != table.rend(); ++it) release(*it);
  table.clear();
}

int32_t BlockPool::find(const BlockContent& content) {
  if (!enable_caching_ || is_parent_forgotten(content)) return kNoBlock;
  const int32_t block = look_up(hash_of(content), content);
  if (block != kNoBlock) add_ref(block);
  return block;
}

int32_t BlockPool::cache(int32_t block, const BlockContent& content) {
  if (!enable_caching_ || is_parent_forgotten(content)) return block;
  Block& b = blocks_[block];
  RETORT_CHECK(b.num_refs > 0 && !b.is_cached && content.tokens.size() == kBlockTokens);
  const uint64_t hash = hash_of(content);
  if (const int32_t known = look_up(hash, content); known != kNoBlock) {
    add_ref(known);
    release(block);
    return known;
  }
  fill(block, content);
  b.hash = hash;
  index_.emplace(hash, block);
  return block;
}

void BlockPool::cache_tail(int32_t block, const BlockContent& content) {
  if (!enable_caching_ || is_parent_forgotten(content)) return;
  RETORT_CHECK(blocks_[block].num_refs == 1 && !blocks_[block].is_cached && content.tokens.size() < kBlockTokens);
  if (look_up_beginning(content).num_tokens < std::ssize(content.tokens)) fill(block, content);
}

Beginning BlockPool::find_beginning(const BlockContent& content) {
  if (!enable_caching_ || is_parent_forgotten(content)) return {};
  const Beginning found = look_up_beginning(content);
  if (found.block != kNoBlock) {
    add_ref(found.block);
    release(found.block);
  }
  return found;
}

Beginning BlockPool::look_up_beginning(const BlockContent& content) const {
  Beginning best;
  const auto wanted = std::ssize(content.tokens);
  int32_t block = content.parent == kNoBlock ? first_root_ : blocks_[content.parent].first_child;
  for (int i = 0; i < kMaxSiblings && block != kNoBlock && best.num_tokens < wanted;
       ++i, block = blocks_[block].older) {
    const Block& b = blocks_[block];
    if (content.parent == kNoBlock && b.salt != content.salt) continue;
    const auto tokens = std::span(b.tokens).first(b.num_tokens);
    const int64_t num_equal = std::ranges::mismatch(tokens, content.tokens).in1 - tokens.begin();
    if (num_equal > best.num_tokens) best = {block, num_equal};
  }
  return best;
}

void BlockPool::fill(int32_t block, const BlockContent& content) {
  Block& b = blocks_[block];
  b.is_cached = true;
  b.num_tokens = static_cast<int32_t>(content.tokens.size());
  b.parent = content.parent;
  std::ranges::copy(content.tokens, b.tokens.begin());
  if (b.parent == kNoBlock) b.salt = content.salt;
  int32_t& first = first_child(b.parent);
  b.older = first;
  if (first != kNoBlock) blocks_[first].newer = block;
  first = block;
}

uint64_t BlockPool::hash_of(const BlockContent& content) const {
  const uint64_t before =
      content.parent == kNoBlock ? std::hash<std::string_view>{}(content.salt) : blocks_[content.parent].hash;
  return hash_(before, content.tokens);
}

bool BlockPool::holds(const Block& block, const BlockContent& content) const {
  return block.parent == content.parent && (block.parent != kNoBlock || block.salt == content.salt) &&
         std::ranges::equal(block.tokens, content.tokens);
}

int32_t BlockPool::look_up(uint64_t hash, const BlockContent& content) const {
  const auto [begin, end] = index_.equal_range(hash);
  for (auto it = begin; it != end; ++it)
    if (holds(blocks_[it->second], content)) return it->second;
  return kNoBlock;
}

void BlockPool::forget(int32_t block) {
  Block& b = blocks_[block];
  RETORT_CHECK(b.first_child == kNoBlock);
  if (b.num_tokens == kBlockTokens) {
    const auto [begin, end] = index_.equal_range(b.hash);
    index_.erase(std::find_if(begin, end, [&](const auto& entry) { return entry.second == block; }));
  }
  (b.newer == kNoBlock ? first_child(b.parent) : blocks_[b.newer].older) = b.older;
  if (b.older != kNoBlock) blocks_[b.older].newer = b.newer;
  b.newer = b.older = b.parent = kNoBlock;
  b.is_cached = false;
  b.salt.clear();
}

void BlockPool::forget_all() {
  for (Block& block : blocks_) {
    block.is_cached = false;
    block.parent = block.first_child = block.newer = block.older = kNoBlock;
    block.salt.clear();
  }
  first_root_ = kNoBlock;
  index_.clear();
}

void BlockPool::link_before(int32_t block, int32_t successor) {
  const int32_t predecessor = blocks_[successor].prev;
  blocks_[block].prev = predecessor;
  blocks_[block].next = successor;
  blocks_[predecessor].next = block;
  blocks_[successor].prev = block;
  ++num_free_;
}

void BlockPool::unlink(int32_t block) {
  Block& b = blocks_[block];
  blocks_[b.prev].next = b.next;
  blocks_[b.next].prev = b.prev;
  b.prev = b.next = kNoBlock;
  --num_free_;
}

Status BlockPool::check_integrity(std::span<const int32_t> expected_refs) const {
  RETORT_CHECK(std::ssize(expected_refs) == num_blocks());
  std::vector<char> listed(num_blocks(), 0);
  int32_t num_listed = 0;
  for (int32_t i = blocks_[list_end()].next; i != list_end(); i = blocks_[i].next) {
    if (listed[i]++) return fail(ErrorKind::kInternal, "[block pool] block {}: is in the free list twice", i);
    ++num_listed;
  }
  if (num_listed != num_free_)
    return fail(ErrorKind::kInternal, "[block pool] free list: expected {} blocks, found {}", num_free_, num_listed);

  std::vector<int32_t> num_children(num_blocks(), 0);
  int32_t num_cached_blocks = 0;
  for (int32_t i = 0; i < num_blocks(); ++i) {
    const Block& b = blocks_[i];
    if (b.num_refs != expected_refs[i])
      return fail(ErrorKind::kInternal, "[block pool] block {}: expected {} references, found {}", i, expected_refs[i],
                  b.num_refs);
    if ((b.num_refs == 0) != static_cast<bool>(listed[i]))
      return fail(ErrorKind::kInternal, "[block pool] block {}: {} references, {} the free list", i, b.num_refs,
                  listed[i] ? "in" : "not in");
    if (!b.is_cached) continue;
    if (b.num_tokens == kBlockTokens) {
      ++num_cached_blocks;
      if (look_up(b.hash, {b.parent, b.salt, b.tokens}) != i)
        return fail(ErrorKind::kInternal, "[block pool] block {}: is cached but its content finds another", i);
    }
    if (b.parent == kNoBlock) continue;
    ++num_children[b.parent];
    if (!blocks_[b.parent].is_cached)
      return fail(ErrorKind::kInternal, "[block pool] block {}: its parent {} is not cached", i, b.parent);
    if (b.num_refs > blocks_[b.parent].num_refs)
      return fail(ErrorKind::kInternal, "[block pool] block {}: has {} owners, its parent {} only {}", i, b.num_refs,
                  b.parent, blocks_[b.parent].num_refs);
  }
  if (num_cached_blocks != num_cached())
    return fail(ErrorKind::kInternal, "[block pool] index: expected {} entries, found {}", num_cached_blocks,
                num_cached());
  for (int32_t i = 0; i < num_blocks(); ++i) {
    int32_t num_listed_children = 0;
    for (int32_t child = blocks_[i].first_child; child != kNoBlock; child = blocks_[child].older) {
      if (blocks_[child].parent != i || ++num_listed_children > num_children[i])
        return fail(ErrorKind::kInternal, "[block pool] block {}: its list of children is not of its children", i);
    }
    if (num_listed_children != num_children[i])
      return fail(ErrorKind::kInternal, "[block pool] block {}: expected {} children, found {}", i, num_children[i],
                  num_listed_children);
  }
  return {};
}

}  // namespace retort
