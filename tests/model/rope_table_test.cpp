#include "model/rope_table.h"

#include <gtest/gtest.h>

#include <cmath>

#include "formats/temp_dir.h"
#include "model/checkpoint.h"
#include "model/tiny_model.h"

namespace retort {
namespace {

using testing::Json;
using testing::model_goldens;
using testing::TempDir;

// The published config as config_from_hf reads it; the weights do not matter.
ModelConfig config_of(const Json& config) {
  const TempDir folder;
  testing::write_file(folder / "config.json", config.dump());
  const std::string header = "{}";
  testing::write_file(folder / "model.safetensors", std::string("\x02\0\0\0\0\0\0\0", 8) + header);
  const auto hf = HfFolder::open(folder.path());
  EXPECT_TRUE(hf) << (hf ? "" : hf.error().message);
  const auto result = config_from_hf(*hf);
  EXPECT_TRUE(result) << (result ? "" : result.error().message);
  return result.value();
}

TEST(RopeTable, FrequenciesOfPublishedModels) {
  for (const Json& golden : model_goldens().at("ropes")) {
    const RopeTable table(config_of(golden.at("config")));
    const std::vector<double> expected = golden.at("frequencies");
    ASSERT_EQ(table.frequencies().size(), expected.size()) << golden.at("name");
    for (size_t i = 0; i < expected.size(); ++i)
      ASSERT_NEAR(table.frequencies()[i], expected[i], 1e-7 * expected[i]) << golden.at("name") << ", pair " << i;
    const double magnitude = golden.at("magnitude");
    std::vector<float> cos(expected.size()), sin(expected.size());
    for (int64_t position : {0, 1, 1000, 131071}) {
      table.fill(position, cos.data(), sin.data());
      for (size_t i = 0; i < expected.size(); ++i) {
        const double angle = static_cast<double>(position) * table.frequencies()[i];
        ASSERT_NEAR(cos[i], std::cos(angle) * magnitude, 2e-7) << golden.at("name") << ", position " << position;
        ASSERT_NEAR(sin[i], std::sin(angle) * magnitude, 2e-7) << golden.at("name") << ", position " << position;
      }
    }
  }
}

TEST(RopeTable, DivisorsOfTheFile) {
  ModelConfig config;
  config.head_dim = 8;
  config.rope_theta = 10000;
  config.rope_scaling.frequency_divisors = {1, 2, 4, 8};
  const RopeTable table(config);
  for (size_t i = 0; i < 4; ++i)
    EXPECT_NEAR(table.frequencies()[i], std::pow(10.0, -static_cast<double>(i)) / std::pow(2.0, static_cast<double>(i)),
                1e-12);
}

}  // namespace
}  // namespace retort
