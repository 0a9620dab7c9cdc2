#include "model/key_scales.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

namespace retort {
namespace {

ModelConfig config(RopeStyle style) {
  ModelConfig config;
  config.num_kv_heads = 1;
  config.head_dim = 8;
  config.rope_style = style;
  return config;
}

TEST(KeyScales, SpreadIsThatOfTheOutputs) {
  const std::vector<float> weights = {1, 2, 0, -3, 0.5f, 0};  // [2, 3]
  TensorView view;
  view.name = "k";
  view.type = TensorType::kF32;
  view.shape = {2, 3};
  view.data = std::as_bytes(std::span(weights));
  const std::vector<float> norm = {2, 1, 10};
  const auto spread = key_spread(view, norm);
  EXPECT_FLOAT_EQ(spread[0], std::sqrt(4.0f + 4.0f));
  EXPECT_FLOAT_EQ(spread[1], std::sqrt(36.0f + 0.25f));
}

TEST(KeyScales, GrowWithTheBiasAndAreEqualWithinARotaryPair) {
  const std::vector<float> spread(8, 1.0f), bias = {0, 100, 0, 0, 0, 0, 0, 0};
  const auto neox = key_scales(config(RopeStyle::kNeox), spread, bias, {});
  EXPECT_GT(neox[1], 100.0f);
  EXPECT_FLOAT_EQ(neox[1], neox[5]);
  EXPECT_FLOAT_EQ(neox[0], neox[4]);
  EXPECT_LT(neox[0], 5.0f);
  const auto interleaved = key_scales(config(RopeStyle::kInterleaved), spread, bias, {});
  EXPECT_FLOAT_EQ(interleaved[0], interleaved[1]);
  EXPECT_GT(interleaved[0], 100.0f);
  EXPECT_LT(interleaved[2], 5.0f);
}

TEST(KeyScales, FollowTheNormWhereKeysAreNormed) {
  const std::vector<float> spread(8, 50.0f), norm = {1, 1, 9, 1, 1, 1, 1, 1};
  const auto scales = key_scales(config(RopeStyle::kNeox), spread, {}, norm);
  EXPECT_FLOAT_EQ(scales[2], scales[6]);
  EXPECT_FLOAT_EQ(scales[0], 3 * std::sqrt(2.0f));
}

TEST(KeyScales, ArePositiveForWeightsOfZero) {
  for (const float scale : key_scales(config(RopeStyle::kNeox), std::vector<float>(8, 0.0f), {}, {}))
    EXPECT_GT(scale, 0.0f);
}

}  // namespace
}  // namespace retort
