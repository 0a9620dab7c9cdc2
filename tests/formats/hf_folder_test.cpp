#include "formats/hf_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/safetensors_bytes.h"
#include "formats/temp_dir.h"

namespace retort {
namespace {

using ::testing::HasSubstr;
using testing::TempDir;
using testing::write_file;

std::string one_tensor(std::string_view name) {
  return testing::safetensors_bytes(fmt::format(R"({{"{}":{{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}}})", name),
                                    8);
}

Error error_of(const TempDir& dir) {
  const auto folder = HfFolder::open(dir.path());
  EXPECT_FALSE(folder);
  return folder ? Error{} : folder.error();
}

TEST(HfFolder, SingleFile) {
  TempDir dir;
  write_file(dir / "config.json", R"({"model_type":"qwen2"})");
  write_file(dir / "tokenizer.json", R"({"model":{"type":"BPE"}})");
  write_file(dir / "tokenizer_config.json", R"({"chat_template":"in the config"})");
  write_file(dir / "generation_config.json", R"({"temperature":0.6})");
  write_file(dir / "model.safetensors", one_tensor("model.norm.weight"));
  const auto folder = HfFolder::open(dir.path());
  ASSERT_TRUE(folder) << folder.error().message;
  EXPECT_EQ(folder->config()["model_type"], "qwen2");
  EXPECT_EQ(folder->tokenizer()["model"]["type"], "BPE");
  EXPECT_EQ(folder->tokenizer_config()["chat_template"], "in the config");
  EXPECT_EQ(folder->generation_config()["temperature"], 0.6);
  ASSERT_EQ(folder->tensors().size(), 1u);
  const TensorView* tensor = folder->find_tensor("model.norm.weight");
  ASSERT_NE(tensor, nullptr);
  EXPECT_EQ(tensor->data.size(), 8u);
  EXPECT_EQ(tensor->data[7], std::byte{1});
  folder->release(*tensor);
  EXPECT_EQ(tensor->data[7], std::byte{1});
  EXPECT_EQ(folder->find_tensor("gone"), nullptr);
}

TEST(HfFolder, WhatIsAbsentIsNullAndATemplateFileOutranksTheConfig) {
  TempDir dir;
  write_file(dir / "config.json", "{}");
  write_file(dir / "model.safetensors", one_tensor("a"));
  auto folder = HfFolder::open(dir.path());
  ASSERT_TRUE(folder);
  EXPECT_TRUE(folder->tokenizer().is_null());
  EXPECT_TRUE(folder->tokenizer_config().is_null());
  EXPECT_TRUE(folder->generation_config().is_null());

  write_file(dir / "chat_template.jinja", "{{ messages }}");
  EXPECT_EQ(HfFolder::open(dir.path())->tokenizer_config()["chat_template"], "{{ messages }}");
  write_file(dir / "tokenizer_config.json", R"({"chat_template":"old","bos_token":"<s>"})");
  folder = HfFolder::open(dir.path());
  EXPECT_EQ(folder->tokenizer_config()["chat_template"], "{{ messages }}");
  EXPECT_EQ(folder->tokenizer_config()["bos_token"], "<s>");
}

TEST(HfFolder, Shards) {
  TempDir dir;
  write_file(dir / "config.json", "{}");
  write_file(dir / "model-00001-of-00002.safetensors", one_tensor("a"));
  write_file(dir / "model-00002-of-00002.safetensors", one_tensor("b"));
  write_file(dir / "model.safetensors.index.json",
             R"({"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}})");
  const auto folder = HfFolder::open(dir.path());
  ASSERT_TRUE(folder) << folder.error().message;
  EXPECT_EQ(folder->tensors().size(), 2u);
  EXPECT_NE(folder->find_tensor("a"), nullptr);
  EXPECT_NE(folder->find_tensor("b"), nullptr);
}

TEST(HfFolder, WhatIsMissingIsNamed) {
  TempDir dir;
  EXPECT_EQ(error_of(dir).kind, ErrorKind::kNotFound);
  EXPECT_THAT(error_of(dir).message, HasSubstr("it has no config.json"));
  write_file(dir / "config.json", "{}");
  EXPECT_EQ(error_of(dir).kind, ErrorKind::kNotFound);
  EXPECT_THAT(error_of(dir).message, HasSubstr("expected model.safetensors or model.safetensors.index.json"));
  write_file(dir / "model.safetensors.index.json", R"({"weight_map":{"a":"gone.safetensors"}})");
  EXPECT_EQ(error_of(dir).kind, ErrorKind::kNotFound);
  EXPECT_THAT(error_of(dir).message, HasSubstr("gone.safetensors: No such file"));
  write_file(dir / "gone.safetensors", one_tensor("b"));
  EXPECT_EQ(error_of(dir).message,
            "[hf] model.safetensors.index.json: tensor a: expected it in gone.safetensors, no shard holds it");
}

TEST(HfFolder, AShardNameLeadsNowhereElse) {
  for (const char* name : {R"("../secret.safetensors")", R"("/etc/passwd")", R"("a/b")", R"("..")", R"(".")", R"("")",
                           R"("a\u0000b")", R"("a\\b")", "7", "null", R"(["a"])"}) {
    TempDir dir;
    write_file(dir / "config.json", "{}");
    write_file(dir / "model.safetensors.index.json", fmt::format(R"({{"weight_map":{{"t":{}}}}})", name));
    EXPECT_THAT(error_of(dir).message,
                ::testing::StartsWith("[hf] model.safetensors.index.json: tensor t: expected the name of a file in the "
                                      "folder, file holds "))
        << name;
  }
}

TEST(HfFolder, ATensorInTwoShardsIsRefused) {
  TempDir dir;
  write_file(dir / "config.json", "{}");
  write_file(dir / "1.safetensors", one_tensor("a"));
  write_file(dir / "2.safetensors", one_tensor("a"));
  write_file(dir / "model.safetensors.index.json", R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})");
  EXPECT_EQ(error_of(dir).message, "[hf] 2.safetensors: tensor a: expected once, an earlier file holds it too");
}

TEST(HfFolder, BrokenFilesAreNamed) {
  TempDir dir;
  write_file(dir / "config.json", "{");
  write_file(dir / "model.safetensors", one_tensor("a"));
  EXPECT_THAT(error_of(dir).message, HasSubstr("[hf] config.json: expected JSON"));
  write_file(dir / "config.json", "{}");
  write_file(dir / "tokenizer.json", "[]");
  EXPECT_EQ(error_of(dir).message, "[hf] tokenizer.json: expected a JSON object, file holds array");
  std::filesystem::remove(dir / "tokenizer.json");
  write_file(dir / "chat_template.jinja", std::string((4 << 20) + 1, ' '));
  EXPECT_EQ(error_of(dir).message, "[hf] chat_template.jinja: 4194305 bytes, the limit is 4194304");
  std::filesystem::remove(dir / "chat_template.jinja");
  write_file(dir / "model.safetensors", "short");
  EXPECT_EQ(error_of(dir).message, "[safetensors] model.safetensors: expected 8 bytes of header size, file holds 5");
  std::filesystem::remove(dir / "model.safetensors");
  write_file(dir / "model.safetensors.index.json", R"({"weight_map":[]})");
  EXPECT_EQ(error_of(dir).message, "[hf] model.safetensors.index.json: expected an object weight_map");
}

}  // namespace
}  // namespace retort
