#include "kernels/kv_block.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "formats/codecs.h"
#include "kernels/attention_problem.h"

namespace retort {
namespace {

// Channels that are large for every token, as Qwen2's key biases make them, cost the others no precision once their
// scales are known.
TEST(Int8Kv, KeyScalesSpareTheSmallChannels) {
  const Shape shape{1, 2, 64};
  RandomSequence sequence(shape, 70, 71);
  std::vector<float> key_scales(64, 4.5f);  // how far out the channels reach
  for (const int d : {3, 35}) {
    key_scales[static_cast<size_t>(d)] = 204.5f;
    for (size_t t = 0; t < 70; ++t) sequence.k[t * 64 + static_cast<size_t>(d)] += 200.0f;
  }
  ThreadPool pool(1);
  for (const Isa isa : supported_isas()) {
    Attention attention(isa, pool);
    const auto expected = run_chunked(attention, sequence, KvType::kF32, {70});
    const auto worst = [&](const float* scales) {
      Store store(KvType::kInt8, shape, 3);
      store.view.key_scales = scales;
      const auto table = store.take(70);
      const auto out = run_step(attention, {{&sequence, &table, 0, 70}}, store.view);
      float difference = 0;
      for (size_t i = 0; i < out.size(); ++i) difference = std::max(difference, std::abs(out[i] - expected[i]));
      return difference;
    };
    EXPECT_GT(worst(nullptr), 0.5f);
    EXPECT_LT(worst(key_scales.data()), 0.5f * worst(nullptr));
  }
}

TEST(KvLayout, Int8FoursLieSideBySide) {
  const Shape shape{2, 1, 8};
  const RandomSequence sequence(shape, 35, 61);
  Store store(KvType::kInt8, shape, 2);
  const auto table = store.take(35);
  ThreadPool pool(1);
  Attention attention(Isa::kScalar, pool);
  run_step(attention, {{&sequence, &table, 0, 35}}, store.view);
  const int token = 33, head = 1, d = 5;
  const auto* keys = reinterpret_cast<const uint8_t*>(kv_head_of_block(store.view, table[1], head));
  const auto* values = keys + kv_values_offset(KvType::kInt8, 8);
  const auto* scales = reinterpret_cast<const float*>(values + 8 * 32);
  const size_t source = static_cast<size_t>(token) * shape.kv_stride() + head * 8;
  EXPECT_NEAR(scales[1] * static_cast<float>(keys[(d / 4 * 32 + 1) * 4 + d % 4] - 128), sequence.k[source + d],
              0.51f * scales[1]);
  EXPECT_NEAR(scales[32 + 1] * static_cast<float>(values[d * 4 + 1] - 128), sequence.v[source + d],
              0.51f * scales[32 + 1]);
}

TEST(KvLayout, Bf16PairsLieSideBySide) {
  const Shape shape{2, 1, 8};
  const RandomSequence sequence(shape, 35, 61);
  Store store(KvType::kBF16, shape, 2);
  const auto table = store.take(35);
  ThreadPool pool(1);
  Attention attention(Isa::kScalar, pool);
  run_step(attention, {{&sequence, &table, 0, 35}}, store.view);
  const int token = 33, head = 1, d = 5;
  const auto* keys = reinterpret_cast<const uint16_t*>(
      store.view.base + static_cast<size_t>(table[1]) * store.view.block_stride + kv_block_bytes(KvType::kBF16, 1, 8));
  const size_t source = static_cast<size_t>(token) * shape.kv_stride() + head * 8 + d;
  EXPECT_EQ(keys[(d / 2 * 32 + token % 32) * 2 + d % 2], f32_to_bf16(sequence.k[source]));
  const uint16_t* values = keys + 8 * 32;
  EXPECT_EQ(values[(token % 32 / 2 * 8 + d) * 2 + token % 2], f32_to_bf16(sequence.v[source]));
}

}  // namespace
}  // namespace retort
