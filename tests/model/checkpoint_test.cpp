#include "model/checkpoint.h"

#include <gtest/gtest.h>

#include "model/tensor_names.h"
#include "model/tiny_model.h"

namespace retort {
namespace {

using testing::Json;
using testing::TempDir;
using testing::tiny_model;

TEST(Checkpoint, TensorsAreFoundUnderGgufNamesInBothContainers) {
  const TempDir folder;
  const auto model = tiny_model("qwen3_ratio_2");
  const auto gguf = Checkpoint::open(model.write_gguf(folder / "tiny.gguf")),
             hf = Checkpoint::open(model.write_hf(folder / "tiny"));
  ASSERT_TRUE(gguf && hf);
  ASSERT_EQ(gguf->tensors().size(), model.tensors.size());
  for (const TensorView& tensor : gguf->tensors()) {
    ASSERT_NE(hf->find(tensor.name), nullptr) << tensor.name;
    EXPECT_EQ(hf->find(tensor.name)->shape, tensor.shape) << tensor.name;
  }
  EXPECT_EQ(gguf->weight_bytes(), hf->weight_bytes());
  EXPECT_TRUE(gguf->tensor_faults().empty());
  EXPECT_TRUE(hf->tensor_faults().empty());
  EXPECT_EQ(gguf->find("blk.9.attn_q.weight"), nullptr);
  EXPECT_EQ(hf->find("no.such.tensor"), nullptr);
  EXPECT_EQ(hf->config().name, "tiny");
}

TEST(Checkpoint, NamesOfUntiedAndBiasedTensors) {
  EXPECT_EQ(hf_tensor_name("output.weight"), "lm_head.weight");
  EXPECT_EQ(hf_tensor_name("blk.17.attn_output.bias"), "model.layers.17.self_attn.o_proj.bias");
  EXPECT_EQ(hf_tensor_name("blk.3.ffn_norm.weight"), "model.layers.3.post_attention_layernorm.weight");
  EXPECT_EQ(hf_tensor_name("blk.3.ffn_norm.scale"), "");
  EXPECT_EQ(hf_tensor_name("blk."), "");
  EXPECT_EQ(hf_tensor_name(""), "");
}

TEST(Checkpoint, CopiesShareTheFile) {
  const TempDir folder;
  const auto path = tiny_model("llama_ratio_1").write_gguf(folder / "tiny.gguf");
  std::optional<Checkpoint> copy;
  {
    const auto opened = Checkpoint::open(path);
    ASSERT_TRUE(opened);
    copy = *opened;
  }
  const TensorView* tensor = copy->find("output_norm.weight");
  ASSERT_NE(tensor, nullptr);
  float first = 0;
  std::memcpy(&first, tensor->data.data(), sizeof first);
  EXPECT_EQ(first, tiny_model("llama_ratio_1").tensors.at("model.norm.weight").values[0]);
  copy->release(*tensor);
  std::memcpy(&first, tensor->data.data(), sizeof first);
  EXPECT_EQ(first, tiny_model("llama_ratio_1").tensors.at("model.norm.weight").values[0]) << "released pages come back";
}

TEST(Checkpoint, ChatTemplates) {
  const TempDir folder;
  const auto model = tiny_model("llama_ratio_1");
  const auto plain = Checkpoint::open(model.write_gguf(folder / "plain.gguf"));
  EXPECT_EQ(plain.value().chat_template(), "");
  const auto gguf = Checkpoint::open(model.write_gguf(folder / "chat.gguf", TensorType::kF32, [](GgufWriter& writer) {
    writer.set("tokenizer.chat_template", std::string("{{ messages }}"));
  }));
  EXPECT_EQ(gguf.value().chat_template(), "{{ messages }}");

  const auto hf_template = [&](const Json& tokenizer_config) {
    model.write_hf(folder / "tiny");
    testing::write_file(folder / "tiny/tokenizer_config.json", tokenizer_config.dump());
    return Checkpoint::open(folder / "tiny").value().chat_template();
  };
  EXPECT_EQ(hf_template(Json::object()), "");
  EXPECT_EQ(hf_template({{"chat_template", "one"}}), "one");
  EXPECT_EQ(
      hf_template({{"chat_template",
                    {{{"name", "tool_use"}, {"template", "two"}}, {{"name", "default"}, {"template", "three"}}}}}),
      "three");
  EXPECT_EQ(hf_template({{"chat_template", 5}}), "");
}

TEST(Checkpoint, WhatIsNotThere) {
  const TempDir folder;
  const auto missing = Checkpoint::open(folder / "missing.gguf");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::kNotFound);
  EXPECT_FALSE(Checkpoint::open(folder.path())) << "an empty folder";
}

}  // namespace
}  // namespace retort
