#include "model/kv_store.h"

#include <gtest/gtest.h>

#include <cstring>

namespace retort {
namespace {

ModelConfig small_config() {
  ModelConfig config;
  config.num_layers = 3;
  config.num_kv_heads = 2;
  config.head_dim = 16;
  return config;
}

TEST(KvStore, Sizes) {
  EXPECT_EQ(KvStore::bytes_per_block(small_config(), KvType::kF32), 3u * 2 * 16 * 32 * 2 * 4);
  EXPECT_EQ(KvStore::bytes_per_block(small_config(), KvType::kBF16), 3u * 2 * 16 * 32 * 2 * 2);
  EXPECT_EQ(KvStore::bytes_per_block(small_config(), KvType::kInt8), 3u * 2 * 32 * 2 * (16 + 4)) << "with scales";
  const auto store = KvStore::allocate(small_config(), KvType::kBF16, 5).value();
  EXPECT_EQ(store.num_bytes(), 5 * KvStore::bytes_per_block(small_config(), KvType::kBF16));
  EXPECT_EQ(store.num_blocks(), 5);
  EXPECT_EQ(store.type(), KvType::kBF16);
}

TEST(KvStore, EveryBlockOfEveryLayerIsItsOwn) {
  auto store = KvStore::allocate(small_config(), KvType::kF32, 4).value();
  for (int layer = 0; layer < 3; ++layer)
    for (int block = 0; block < 4; ++block) {
      const KvLayerView view = store.layer(layer);
      std::memset(view.base + static_cast<size_t>(block) * view.block_stride, 16 * layer + block, view.block_stride);
    }
  const auto holds = [&](int layer, int block, int value) {
    const KvLayerView view = store.layer(layer);
    const std::byte* p = view.base + static_cast<size_t>(block) * view.block_stride;
    return std::all_of(p, p + view.block_stride, [&](std::byte b) { return b == static_cast<std::byte>(value); });
  };
  for (int layer = 0; layer < 3; ++layer)
    for (int block = 0; block < 4; ++block) EXPECT_TRUE(holds(layer, block, 16 * layer + block));
  store.copy_block(1, 3);
  for (int layer = 0; layer < 3; ++layer) {
    EXPECT_TRUE(holds(layer, 3, 16 * layer + 1));
    EXPECT_TRUE(holds(layer, 1, 16 * layer + 1));
    EXPECT_TRUE(holds(layer, 2, 16 * layer + 2));
  }
}

TEST(KvStore, TooMuchIsAnError) {
  ModelConfig config = small_config();
  config.num_layers = 1024;
  config.num_kv_heads = 1024;
  config.head_dim = 1024;
  const auto store = KvStore::allocate(config, KvType::kF32, 1 << 30);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().kind, ErrorKind::kIo);
}

}  // namespace
}  // namespace retort
