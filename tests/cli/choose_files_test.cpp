#include "cli/hub/choose_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace retort {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<HubFile> files(std::initializer_list<const char*> paths) {
  std::vector<HubFile> list;
  for (const char* path : paths) list.push_back({path, 1, {}});
  return list;
}

std::vector<std::string> paths_of(const Result<ChosenFiles>& chosen) {
  std::vector<std::string> paths;
  if (chosen)
    for (const auto& file : chosen->files) paths.push_back(file.path);
  return paths;
}

TEST(ChooseFiles, QuantIsTheEndOfTheNameAfterASeparator) {
  const auto repo = files({"m-IQ4_K.gguf", "m-Q4_K_M.gguf", "m.Q4_K.gguf", "m_q5_0.gguf", "Q8_0.gguf"});
  EXPECT_THAT(paths_of(choose_files(repo, "q4_k_m")), ElementsAre("m-Q4_K_M.gguf"));
  EXPECT_THAT(paths_of(choose_files(repo, "Q4_K")), ElementsAre("m.Q4_K.gguf"));
  EXPECT_THAT(paths_of(choose_files(repo, "Q5_0")), ElementsAre("m_q5_0.gguf"));
  EXPECT_THAT(paths_of(choose_files(repo, "Q8_0")), ElementsAre("Q8_0.gguf"));
  EXPECT_THAT(choose_files(repo, "Q3_K_M").error().message, HasSubstr("m_q5_0.gguf"));
}

TEST(ChooseFiles, PlainestNameWins) {
  EXPECT_THAT(paths_of(choose_files(files({"m-UD-Q4_K_M.gguf", "m-Q4_K_M.gguf"}), "Q4_K_M")),
              ElementsAre("m-Q4_K_M.gguf"));
}

TEST(ChooseFiles, ImageProjectorsAreNotModels) {
  EXPECT_THAT(paths_of(choose_files(files({"mmproj-model-F16.gguf", "model-F16.gguf"}), "")),
              ElementsAre("model-F16.gguf"));
}

TEST(ChooseFiles, WithoutAQuantTheUsualOneOrTheOnlyOne) {
  EXPECT_EQ(choose_files(files({"m-Q8_0.gguf", "m-Q4_K_M.gguf", "m-Q2_K.gguf"}), "")->model, "m-Q4_K_M.gguf");
  EXPECT_EQ(choose_files(files({"m-Q2_K.gguf"}), "")->model, "m-Q2_K.gguf");
  EXPECT_THAT(choose_files(files({"m-Q2_K.gguf", "m-Q3_K.gguf"}), "").error().message, HasSubstr("OWNER/REPO:QUANT"));
}

TEST(ChooseFiles, SplitFilesComeWholeAndInOrder) {
  const auto repo = files({"m-Q8_0-00002-of-00002.gguf", "m-Q8_0-00001-of-00002.gguf"});
  EXPECT_THAT(paths_of(choose_files(repo, "Q8_0")),
              ElementsAre("m-Q8_0-00001-of-00002.gguf", "m-Q8_0-00002-of-00002.gguf"));
  EXPECT_EQ(choose_files(repo, "")->model, "m-Q8_0-00001-of-00002.gguf");
  EXPECT_THAT(choose_files(files({"m-Q8_0-00001-of-00002.gguf"}), "Q8_0").error().message,
              HasSubstr("expected 2 parts"));
}

TEST(ChooseFiles, FolderEndsWithItsConfig) {
  const auto chosen = choose_files(
      files({"config.json", "model.safetensors", "original/model.safetensors", "tokenizer.json", "README.md"}), "");
  EXPECT_THAT(paths_of(chosen), ElementsAre("model.safetensors", "tokenizer.json", "config.json"));
  EXPECT_EQ(chosen->model, "");
  EXPECT_FALSE(choose_files(files({"config.json", "pytorch_model.bin"}), ""));
  EXPECT_FALSE(choose_files(files({"model.safetensors"}), ""));
  EXPECT_FALSE(choose_files(files({"config.json", "model.safetensors"}), "Q4_0"));
}

}  // namespace
}  // namespace retort
