#include "engine/block_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <random>
#include <set>

namespace retort {
namespace {

std::vector<TokenId> block_of(TokenId first) {
  std::vector<TokenId> tokens(kBlockTokens);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

uint64_t always_collides(uint64_t, std::span<const TokenId>) { return 7; }

std::string integrity(const BlockPool& pool, std::vector<int32_t> refs) {
  const auto status = pool.check_integrity(refs);
  return status ? "" : status.error().message;
}

TEST(BlockPool, HandsOutEveryBlockOnceAndThenNone) {
  BlockPool pool(3, true);
  std::vector<int32_t> blocks = {pool.allocate(), pool.allocate(), pool.allocate()};
  std::ranges::sort(blocks);
  EXPECT_EQ(blocks, (std::vector<int32_t>{0, 1, 2}));
  EXPECT_EQ(pool.allocate(), kNoBlock);
  pool.add_ref(1);
  pool.release(1);
  EXPECT_EQ(pool.allocate(), kNoBlock) << "a block with another owner is not free";
  pool.release(1);
  EXPECT_EQ(pool.allocate(), 1);
  EXPECT_EQ(integrity(pool, {1, 1, 1}), "");
}

TEST(BlockPool, FreedBlocksStayFindableUntilReused) {
  BlockPool pool(2, true);
  const auto tokens = block_of(0);
  std::vector<int32_t> table = {pool.cache(pool.allocate(), {kNoBlock, "", tokens})};
  const int32_t cached = table[0];
  pool.release_table(table);
  EXPECT_EQ(pool.num_free(), 2);
  EXPECT_EQ(pool.find({kNoBlock, "", tokens}), cached);
  pool.release(cached);

  EXPECT_NE(pool.allocate(), cached) << "a block without content goes first";
  EXPECT_EQ(pool.allocate(), cached);
  EXPECT_EQ(pool.find({kNoBlock, "", tokens}), kNoBlock) << "its memory is another's now";
  EXPECT_EQ(integrity(pool, {1, 1}), "");
}

TEST(BlockPool, ForgetsAllButWhoOwnsWhat) {
  BlockPool pool(4, true);
  const auto a0 = block_of(0), a1 = block_of(100), a2 = block_of(200);
  std::vector<int32_t> table = {pool.cache(pool.allocate(), {kNoBlock, "", a0})};
  table.push_back(pool.cache(pool.allocate(), {table[0], "", a1}));
  pool.forget_all();
  EXPECT_EQ(pool.num_cached(), 0);
  EXPECT_EQ(pool.find({kNoBlock, "", a0}), kNoBlock);
  EXPECT_EQ(pool.find({table[0], "", a1}), kNoBlock);
  table.push_back(pool.allocate());
  EXPECT_EQ(pool.cache(table[2], {table[1], "", a2}), table[2]);
  EXPECT_EQ(pool.num_cached(), 0) << "it would hang in the air";
  EXPECT_EQ(integrity(pool, {1, 1, 1, 0}), "");

  std::vector<int32_t> again = {pool.cache(pool.allocate(), {kNoBlock, "", a0})};
  EXPECT_NE(again[0], table[0]);
  EXPECT_TRUE(pool.is_cached(again[0]));
  pool.release_table(table);
  pool.release_table(again);
  EXPECT_EQ(pool.num_free(), 4);
  EXPECT_EQ(integrity(pool, {0, 0, 0, 0}), "");
}

TEST(BlockPool, TheLeastRecentlyUsedIsForgottenFirstAndChildrenBeforeParents) {
  BlockPool pool(4, true);
  const auto a0 = block_of(0), a1 = block_of(100), b0 = block_of(200), c0 = block_of(300);
  std::vector<int32_t> a = {pool.cache(pool.allocate(), {kNoBlock, "", a0})};
  a.push_back(pool.cache(pool.allocate(), {a[0], "", a1}));
  std::vector<int32_t> b = {pool.cache(pool.allocate(), {kNoBlock, "", b0})};
  std::vector<int32_t> c = {pool.cache(pool.allocate(), {kNoBlock, "", c0})};
  const int32_t parent = a[0], child = a[1], middle = b[0], last = c[0];
  pool.release_table(b);
  pool.release_table(a);
  pool.release_table(c);
  EXPECT_EQ(pool.allocate(), middle);
  EXPECT_EQ(pool.allocate(), child);
  EXPECT_EQ(pool.allocate(), parent);
  EXPECT_EQ(pool.allocate(), last);
}

TEST(BlockPool, EqualContentIsKeptOnce) {
  BlockPool pool(2, true);
  const auto tokens = block_of(0);
  const int32_t first = pool.cache(pool.allocate(), {kNoBlock, "", tokens});
  const int32_t second = pool.cache(pool.allocate(), {kNoBlock, "", tokens});
  EXPECT_EQ(first, second);
  EXPECT_EQ(pool.num_refs(first), 2);
  EXPECT_EQ(pool.num_free(), 1);
}

TEST(BlockPool, ContentIsComparedNeverTheHashAlone) {
  BlockPool pool(8, true, always_collides);
  const auto x = block_of(0), y = block_of(50);
  const int32_t px = pool.cache(pool.allocate(), {kNoBlock, "", x});
  const int32_t py = pool.cache(pool.allocate(), {kNoBlock, "", y});
  const int32_t salted = pool.cache(pool.allocate(), {kNoBlock, "salt", x});
  const int32_t xx = pool.cache(pool.allocate(), {px, "", x});
  const int32_t yx = pool.cache(pool.allocate(), {py, "", x});
  const int32_t salted_x = pool.cache(pool.allocate(), {salted, "", x});
  const std::vector<int32_t> all = {px, py, salted, xx, yx, salted_x};
  EXPECT_EQ(std::set<int32_t>(all.begin(), all.end()).size(), all.size());
  EXPECT_EQ(pool.find({kNoBlock, "", x}), px);
  EXPECT_EQ(pool.find({kNoBlock, "salt", x}), salted);
  EXPECT_EQ(pool.find({kNoBlock, "other", x}), kNoBlock);
  EXPECT_EQ(pool.find({kNoBlock, "salt", y}), kNoBlock);
  EXPECT_EQ(pool.find({py, "", x}), yx);
  EXPECT_EQ(pool.find({px, "", y}), kNoBlock);
}

TEST(BlockPool, FindsTheBlockThatBeginsMostAlike) {
  BlockPool pool(4, true);
  const auto tokens = block_of(0);
  const auto first = [&](size_t num) { return BlockContent{kNoBlock, "", std::span(tokens).first(num)}; };
  const int32_t tail = pool.allocate();
  pool.cache_tail(tail, first(20));
  pool.release(tail);
  EXPECT_EQ(pool.find_beginning(first(10)).block, tail);
  EXPECT_EQ(pool.find_beginning(first(10)).num_tokens, 10);
  EXPECT_EQ(pool.find_beginning(first(32)).num_tokens, 20) << "no more than the tail holds";
  EXPECT_EQ(pool.find(first(32)), kNoBlock);
  EXPECT_EQ(pool.find_beginning({kNoBlock, "other", std::span(tokens).first(10)}).block, kNoBlock);
  const auto others = block_of(100);
  EXPECT_EQ(pool.find_beginning({kNoBlock, "", others}).block, kNoBlock);

  const int32_t shorter = pool.allocate();
  pool.cache_tail(shorter, first(12));
  EXPECT_FALSE(pool.is_cached(shorter)) << "the other tail begins so already";
  const int32_t full = pool.cache(pool.allocate(), first(32));
  EXPECT_EQ(pool.find_beginning(first(31)).block, full);
  EXPECT_EQ(pool.find_beginning(first(31)).num_tokens, 31);
  pool.release(shorter);
  pool.release(full);
  EXPECT_EQ(integrity(pool, {0, 0, 0, 0}), "");
  for (int i = 0; i < 4; ++i) EXPECT_NE(pool.allocate(), kNoBlock);
  EXPECT_EQ(pool.find_beginning(first(10)).block, kNoBlock) << "their memory is others' now";
  EXPECT_EQ(integrity(pool, {1, 1, 1, 1}), "");
}

TEST(BlockPool, ATailIsForgottenBeforeItsParent) {
  BlockPool pool(2, true);
  const auto tokens = block_of(0), next = block_of(50);
  std::vector<int32_t> table = {pool.cache(pool.allocate(), {kNoBlock, "", tokens})};
  table.push_back(pool.allocate());
  const int32_t parent = table[0], tail = table[1];
  pool.cache_tail(tail, {parent, "", std::span(next).first(5)});
  pool.release_table(table);
  EXPECT_EQ(pool.allocate(), tail);
  EXPECT_EQ(pool.find({kNoBlock, "", tokens}), parent);
  EXPECT_EQ(pool.find_beginning({parent, "", next}).block, kNoBlock);
}

TEST(BlockPool, WithoutCachingNothingIsFound) {
  BlockPool pool(1, false);
  const auto tokens = block_of(0);
  const int32_t block = pool.allocate();
  EXPECT_EQ(pool.cache(block, {kNoBlock, "", tokens}), block);
  EXPECT_EQ(pool.find({kNoBlock, "", tokens}), kNoBlock);
  pool.release(block);
  EXPECT_EQ(pool.num_cached(), 0);
}

TEST(BlockPool, IntegrityNoticesWrongCounts) {
  BlockPool pool(2, true);
  const int32_t block = pool.allocate();
  std::vector<int32_t> refs(2, 0);
  EXPECT_THAT(integrity(pool, refs), ::testing::HasSubstr("expected 0 references, found 1"));
  refs[block] = 2;
  EXPECT_THAT(integrity(pool, refs), ::testing::HasSubstr("expected 2 references, found 1"));
}

TEST(BlockPool, HashSpreads) {
  std::set<uint64_t> seen;
  auto tokens = block_of(0);
  for (TokenId last = 0; last < 10000; ++last) {
    tokens.back() = last;
    seen.insert(BlockPool::hash_tokens(1, tokens));
    seen.insert(BlockPool::hash_tokens(2, tokens));
  }
  EXPECT_EQ(seen.size(), 20000u);
}

// Random owners grow chains over a tiny alphabet of blocks; whatever find() gives must hold exactly that chain. The
// truth is kept beside the pool: what was last written to each block, with all that stood before it.
TEST(BlockPool, ChainsNeverMixUnderChurn) {
  for (auto hash : {BlockPool::HashFunction{BlockPool::hash_tokens}, BlockPool::HashFunction{always_collides}}) {
    BlockPool pool(12, true, hash);
    std::mt19937 random(5);
    std::map<int32_t, std::string> chain_of;  // salt / first token / first token …
    std::vector<std::vector<int32_t>> tables(4);
    std::vector<std::string> chains(4);
    std::vector<std::string> salts(4);
    int num_hits = 0;
    for (int round = 0; round < 20000; ++round) {
      const size_t who = random() % 4;
      auto& table = tables[who];
      if (table.empty()) {
        salts[who] = std::string(random() % 3, 's');
        chains[who] = salts[who];
      }
      const TokenId symbol = static_cast<TokenId>(random() % 3) * 1000;
      const auto tokens = block_of(symbol);
      const BlockContent content{table.empty() ? kNoBlock : table.back(), salts[who], tokens};
      const std::string chain = chains[who] + "/" + std::to_string(symbol);
      int32_t block = pool.find(content);
      if (block != kNoBlock) {
        ++num_hits;
      } else if (const int32_t fresh = pool.allocate(); fresh != kNoBlock) {
        block = pool.cache(fresh, content);
        chain_of[block] = chain;
      }
      if (block != kNoBlock) {
        ASSERT_EQ(chain_of[block], chain);
        table.push_back(block);
        chains[who] = chain;
      }
      if (block == kNoBlock || random() % 5 == 0) pool.release_table(table);
      std::vector<int32_t> refs(12, 0);
      for (const auto& t : tables)
        for (int32_t b : t) ++refs[b];
      ASSERT_EQ(integrity(pool, refs), "") << "round " << round;
    }
    EXPECT_GT(num_hits, 2000);
  }
}

}  // namespace
}  // namespace retort
