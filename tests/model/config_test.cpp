#include "model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/checkpoint.h"
#include "model/tiny_model.h"

namespace retort {
namespace {

using ::testing::HasSubstr;

using testing::Json;
using testing::TempDir;
using testing::tiny_model;
using testing::TinyModel;

class ConfigTest : public ::testing::Test {
 protected:
  template <class Edit>
  Result<ModelConfig> from_gguf(const TinyModel& model, Edit&& edit) {
    model.write_gguf(folder / "tiny.gguf", TensorType::kF32, edit);
    const auto file = Gguf::open(folder / "tiny.gguf");
    if (!file) return tl::unexpected(file.error());
    return config_from_gguf(*file);
  }
  Result<ModelConfig> from_gguf(const TinyModel& model) {
    return from_gguf(model, [](GgufWriter&) {});
  }
  Result<ModelConfig> from_hf(const TinyModel& model) {
    model.write_hf(folder / "tiny");
    const auto opened = HfFolder::open(folder / "tiny");
    if (!opened) return tl::unexpected(opened.error());
    return config_from_hf(*opened);
  }
  // The message, or "" where there is no error.
  static std::string error_of(const Result<ModelConfig>& result) { return result ? "" : result.error().message; }
  template <class Edit>
  std::string gguf_error(Edit&& edit, const char* model = "llama_ratio_1") {
    return error_of(from_gguf(tiny_model(model), edit));
  }
  std::string hf_error(const Json& changes, const char* model = "qwen2_ratio_1") {
    TinyModel changed = tiny_model(model);
    changed.config.merge_patch(changes);
    return error_of(from_hf(changed));
  }

  TempDir folder;
};

TEST_F(ConfigTest, BothContainersSayTheSame) {
  for (const char* name : {"qwen2_yarn", "qwen3_ratio_2", "llama_linear", "llama_ratio_3_tied"}) {
    const auto gguf = from_gguf(tiny_model(name)), hf = from_hf(tiny_model(name));
    ASSERT_TRUE(gguf && hf) << error_of(gguf) << error_of(hf);
    const auto numbers = [](const ModelConfig& c) {
      return std::tuple(c.architecture, c.hidden_size, c.num_layers, c.num_heads, c.num_kv_heads, c.head_dim,
                        c.ffn_size, c.vocab_size, c.max_context, c.rms_eps, c.rope_theta, c.rope_dim, c.has_qk_norm,
                        c.tie_embeddings, c.rope_scaling.kind, c.rope_scaling.factor, c.rope_scaling.beta_fast,
                        c.rope_scaling.beta_slow);
    };
    EXPECT_EQ(numbers(*gguf), numbers(*hf)) << name;
    EXPECT_EQ(gguf->rope_style, gguf->architecture == "llama" ? RopeStyle::kInterleaved : RopeStyle::kNeox);
    EXPECT_EQ(hf->rope_style, RopeStyle::kNeox);
    EXPECT_NEAR(gguf->rope_scaling.attention_factor, hf->rope_scaling.attention_factor, 1e-6);
  }
}

TEST_F(ConfigTest, GgufDefaults) {
  const auto config = from_gguf(tiny_model("llama_ratio_1"), [](GgufWriter& writer) {
    writer.set("general.sampling.temp", 0.6f);
    writer.set("general.sampling.top_k", int32_t{20});
    writer.set("general.sampling.top_p", 0.95f);
  });
  ASSERT_TRUE(config) << error_of(config);
  EXPECT_EQ(config->name, "tiny");
  EXPECT_EQ(config->rope_scaling.kind, RopeScaling::Kind::kNone);
  EXPECT_FLOAT_EQ(config->temperature.value(), 0.6f);
  EXPECT_FLOAT_EQ(config->top_p.value(), 0.95f);
  EXPECT_EQ(config->top_k, 20);
  EXPECT_FALSE(config->min_p.has_value());
}

TEST_F(ConfigTest, GgufRopeScaling) {
  const auto bare =
      from_gguf(tiny_model("llama_ratio_1"), [](GgufWriter& writer) { writer.set("llama.rope.scale_linear", 4.0f); });
  ASSERT_TRUE(bare) << error_of(bare);
  EXPECT_EQ(bare->rope_scaling.kind, RopeScaling::Kind::kLinear);
  EXPECT_EQ(bare->rope_scaling.factor, 4);

  const auto none = from_gguf(tiny_model("llama_ratio_1"), [](GgufWriter& writer) {
    writer.set("llama.rope.scaling.type", std::string("none"));
    writer.set("llama.rope.scaling.factor", 4.0f);
  });
  ASSERT_TRUE(none) << error_of(none);
  EXPECT_EQ(none->rope_scaling.kind, RopeScaling::Kind::kNone);

  const auto yarn = from_gguf(tiny_model("qwen2_ratio_1"), [](GgufWriter& writer) {
    writer.set("qwen2.rope.scaling.type", std::string("yarn"));
    writer.set("qwen2.rope.scaling.factor", 4.0f);
  });
  ASSERT_TRUE(yarn) << error_of(yarn);
  EXPECT_EQ(yarn->rope_scaling.original_context, 256);
  EXPECT_EQ(yarn->max_context, 1024) << "what the scaling reaches";
  EXPECT_NEAR(yarn->rope_scaling.attention_factor, 1.138629f, 1e-6);

  const auto divisors = from_gguf(tiny_model("llama_llama3"));
  ASSERT_TRUE(divisors) << error_of(divisors);
  EXPECT_EQ(divisors->rope_scaling.frequency_divisors.size(), 16u);
}

TEST_F(ConfigTest, GgufRefusals) {
  const auto set = [](std::string key, GgufValue value) {
    return [key, value](GgufWriter& writer) { writer.set(key, value); };
  };
  EXPECT_EQ(gguf_error(set("general.architecture", std::string("gemma3"))),
            "[gguf] architecture 'gemma3' is not supported, supported are llama, qwen2, qwen3");
  EXPECT_EQ(gguf_error(set("llama.rope.scaling.type", std::string("longrope"))),
            "[gguf] key llama.rope.scaling.type: 'longrope' is not supported, supported are none, linear, yarn");
  EXPECT_EQ(gguf_error(set("llama.expert_count", uint32_t{8})), "[gguf] key llama.expert_count: 8 is not supported");
  EXPECT_EQ(gguf_error(set("llama.expert_count", uint32_t{0})), "");
  EXPECT_EQ(gguf_error(set("llama.attention.scale", 0.5f)), "[gguf] key llama.attention.scale: 0.5 is not supported");
  EXPECT_EQ(
      gguf_error(set("llama.attention.sliding_window", uint32_t{64})),
      "[gguf] key llama.attention.sliding_window: sliding-window attention (64 of 256 positions) is not supported");
  EXPECT_EQ(gguf_error(set("llama.attention.sliding_window", uint32_t{256})), "") << "never in use";
  EXPECT_EQ(gguf_error(set("llama.rope.dimension_count", uint32_t{12})),
            "[model] rope dimensions: 12 of a head's 24 are rotated, supported is all of them");
  EXPECT_EQ(gguf_error(set("llama.attention.head_count_kv", uint32_t{2})),
            "[model] number of heads: expected a multiple of the 2 KV heads, got 3");
  EXPECT_EQ(gguf_error(set("llama.attention.key_length", uint32_t{20})),
            "[gguf] key llama.attention.value_length: values as long as keys (20) are supported, got 24");
  EXPECT_EQ(gguf_error(set("llama.block_count", uint32_t{0})), "[model] number of layers: expected 1 to 1024, got 0");
  EXPECT_EQ(gguf_error(set("llama.block_count", uint64_t{1} << 60)),
            "[model] number of layers: expected 1 to 1024, got 1152921504606846976");
  EXPECT_EQ(gguf_error(set("llama.attention.head_count", uint32_t{0})),
            "[model] number of heads: expected 1 to 1024, got 0");
  EXPECT_EQ(gguf_error(set("llama.rope.freq_base", -1.0f)), "[model] rope theta: expected a positive number, got -1");
  EXPECT_NE(gguf_error(set("llama.block_count", std::string("two"))).find("llama.block_count"), std::string::npos);
}

TEST_F(ConfigTest, GgufWithoutEmbedding) {
  TinyModel model = tiny_model("llama_ratio_1");
  model.tensors.erase("model.embed_tokens.weight");
  EXPECT_EQ(error_of(from_gguf(model)), "[gguf] tensor token_embd.weight: expected a matrix, file holds none");
}

TEST_F(ConfigTest, GgufRopeFreqsOfWrongLength) {
  const std::vector<float> divisors(7, 1.0f);
  EXPECT_EQ(gguf_error([&](GgufWriter& writer) {
              writer.add_tensor("rope_freqs.weight", TensorType::kF32, {7}, testing::bytes_of(divisors));
            }),
            "[model] rope_freqs.weight: expected 12 elements, file holds 7");
}

TEST_F(ConfigTest, HfVariants) {
  TinyModel model = tiny_model("llama_ratio_1");
  model.config.erase("num_key_value_heads");
  model.config.erase("head_dim");
  model.config.erase("rope_theta");
  model.config["rope_parameters"] = {{"rope_theta", 5e5}, {"rope_type", "default"}};
  model.config["sliding_window"] = 64;
  model.config["use_sliding_window"] = false;
  model.config["rope_scaling"] = nullptr;
  testing::write_file(folder / "generation_config.json", "{}");
  const auto config = from_hf(model);
  ASSERT_TRUE(config) << error_of(config);
  EXPECT_EQ(config->num_kv_heads, 3);
  EXPECT_EQ(config->head_dim, 24);
  EXPECT_EQ(config->rope_theta, 5e5f);
  EXPECT_EQ(hf_error({{"use_sliding_window", true}, {"sliding_window", 64}, {"max_window_layers", 2}}), "")
      << "no layer uses it";
  EXPECT_EQ(hf_error({{"rope_scaling", {{"type", "linear"}, {"factor", 2}}}}), "") << "the key's older name";
}

TEST_F(ConfigTest, HfSamplingDefaults) {
  const TinyModel model = tiny_model("qwen2_ratio_1");
  model.write_hf(folder / "tiny");
  testing::write_file(
      folder / "tiny/generation_config.json",
      R"({"temperature": 0.7, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.05, "eos_token_id": [1, 2]})");
  const auto config = from_hf(model);
  ASSERT_TRUE(config) << error_of(config);
  EXPECT_FLOAT_EQ(config->temperature.value(), 0.7f);
  EXPECT_FLOAT_EQ(config->top_p.value(), 0.8f);
  EXPECT_EQ(config->top_k, 20);
  EXPECT_FLOAT_EQ(config->repetition_penalty.value(), 1.05f);
}

TEST_F(ConfigTest, HfYarn) {
  const Json yarn = {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 256}};
  TinyModel model = tiny_model("qwen2_ratio_1");
  model.config["rope_scaling"] = yarn;
  const auto config = from_hf(model);
  ASSERT_TRUE(config) << error_of(config);
  EXPECT_EQ(config->max_context, 1024);
  EXPECT_NEAR(config->rope_scaling.attention_factor, 1.138629f, 1e-6);
  model.config["rope_scaling"]["mscale"] = 1.0;
  model.config["rope_scaling"]["mscale_all_dim"] = 1.0;
  EXPECT_EQ(from_hf(model)->rope_scaling.attention_factor, 1.0f);
}

TEST_F(ConfigTest, HfYarnFromWhatItWasTrainedOn) {
  TinyModel model = tiny_model("qwen2_ratio_1");
  model.config["rope_scaling"] = {{"rope_type", "yarn"}};
  EXPECT_THAT(error_of(from_hf(model)), HasSubstr("factor"));
  model.config["rope_scaling"]["original_max_position_embeddings"] = 64;
  EXPECT_EQ(from_hf(model)->rope_scaling.factor, 4.0f);
}

TEST_F(ConfigTest, HfRefusals) {
  EXPECT_EQ(hf_error({{"model_type", "mistral"}, {"architectures", {"MistralForCausalLM"}}}),
            "[hf] config.json: model_type: 'mistral' (MistralForCausalLM) is not supported, supported are llama, "
            "qwen2, qwen3 as "
            "causal language models");
  EXPECT_NE(hf_error({{"architectures", {"Qwen2ForSequenceClassification"}}}).find("as causal language models"),
            std::string::npos);
  EXPECT_EQ(hf_error({{"rope_scaling", {{"rope_type", "dynamic"}, {"factor", 2.0}}}}),
            "[hf] config.json: rope_scaling.rope_type: 'dynamic' is not supported, supported are default, linear, "
            "llama3, yarn");
  EXPECT_EQ(hf_error({{"hidden_act", "gelu"}}),
            "[hf] config.json: hidden_act: 'gelu' is not supported, supported is silu");
  EXPECT_EQ(hf_error({{"use_sliding_window", true}, {"sliding_window", 64}, {"max_window_layers", 1}}),
            "[hf] config.json: sliding_window: attention to the last 64 of 256 positions is not supported");
  EXPECT_NE(hf_error({{"layer_types", {"full_attention", "sliding_attention"}}, {"sliding_window", 64}})
                .find("sliding_window"),
            std::string::npos);
  EXPECT_EQ(hf_error({{"quantization_config", {{"quant_method", "awq"}}}}),
            "[hf] config.json: quantization_config: method 'awq' is not supported, supported are unquantised weights");
  EXPECT_EQ(hf_error({{"hidden_size", "64"}}), "[hf] config.json: hidden_size: expected a whole number, got \"64\"");
  EXPECT_EQ(hf_error({{"hidden_size", nullptr}}),
            "[hf] config.json: hidden_size: expected a whole number, the key is missing");
  EXPECT_EQ(hf_error({{"rope_scaling", {{"rope_type", "llama3"}, {"factor", 8.0}}}}),
            "[hf] config.json: low_freq_factor: expected a number, the key is missing");
  EXPECT_EQ(hf_error({{"partial_rotary_factor", 0.5}}),
            "[model] rope dimensions: 8 of a head's 16 are rotated, supported is all of them");
  EXPECT_EQ(hf_error({{"head_dim", 12}}), "[model] head dimension: supported are multiples of 8, got 12");
  EXPECT_EQ(hf_error({{"rms_norm_eps", 0}}), "[model] RMS norm epsilon: expected a positive number, got 0");
}

}  // namespace
}  // namespace retort
