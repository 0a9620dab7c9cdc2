#include "model/transformer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "model/random_model.h"
#include "model/tiny_model.h"

namespace retort {
namespace {

using testing::golden_model;
using testing::Json;
using testing::model_goldens;
using testing::RandomModel;
using testing::TempDir;
using testing::tiny_model;
using testing::TinyModel;

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const Json& entry : model_goldens().at("models")) names.push_back(entry.at("name"));
  return names;
}

// A model ready to run, with a KV store of its own.
class Runner {
 public:
  Runner(const std::filesystem::path& path, Isa isa, KvType kv_type, int num_threads = 2) : pool_(num_threads) {
    auto checkpoint = Checkpoint::open(path);
    if (!checkpoint) throw std::runtime_error(checkpoint.error().message);
    auto loaded = Transformer::load(*checkpoint, isa, pool_);
    if (!loaded) throw std::runtime_error(loaded.error().message);
    transformer_ = std::make_unique<Transformer>(std::move(*loaded));
    kv_ = std::make_unique<KvStore>(KvStore::allocate(transformer_->config(), kv_type, 16).value());
  }

  Transformer& transformer() { return *transformer_; }
  KvStore& kv() { return *kv_; }
  size_t vocab_size() const { return static_cast<size_t>(transformer_->config().vocab_size); }

  std::vector<float> run(std::span<const ForwardSequence> batch) {
    const auto logits = transformer_->forward(batch, *kv_);
    return {logits.begin(), logits.end()};
  }
  // Logits of every token of one sequence, in chunks of these sizes (the last repeats).
  std::vector<float> run_chunked(std::span<const int32_t> tokens, const std::vector<size_t>& chunks) {
    const std::vector<int32_t> table = {5, 2, 7, 0};
    std::vector<float> out;
    for (size_t begin = 0, i = 0; begin < tokens.size();) {
      const auto part =
          tokens.subspan(begin, std::min(tokens.size() - begin, chunks[std::min(i++, chunks.size() - 1)]));
      const ForwardSequence sequence{part, static_cast<int64_t>(begin), table, static_cast<int64_t>(part.size())};
      const auto logits = run({&sequence, 1});
      out.insert(out.end(), logits.begin(), logits.end());
      begin += part.size();
    }
    return out;
  }

 private:
  ThreadPool pool_;
  std::unique_ptr<Transformer> transformer_;
  std::unique_ptr<KvStore> kv_;
};

std::vector<uint32_t> bits(const std::vector<float>& values) {
  std::vector<uint32_t> out(values.size());
  std::memcpy(out.data(), values.data(), values.size() * sizeof(float));
  return out;
}

float largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  float largest = 0;
  for (size_t i = 0; i < a.size(); ++i)
    largest = std::isnan(a[i]) ? INFINITY : std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

std::vector<float> rows_of(const std::vector<float>& logits, const std::vector<size_t>& rows, size_t vocab_size) {
  std::vector<float> out;
  for (size_t row : rows)
    out.insert(out.end(), logits.begin() + static_cast<int64_t>(row * vocab_size),
               logits.begin() + static_cast<int64_t>((row + 1) * vocab_size));
  return out;
}

std::string isa_suffix(Isa isa) {
  std::string name(isa_name(isa));
  std::erase(name, '-');
  return name;
}

class AgainstNumpy : public ::testing::TestWithParam<std::tuple<std::string, Isa>> {};

TEST_P(AgainstNumpy, GgufLogits) {
  const auto& [name, isa] = GetParam();
  const Json& golden = golden_model(name);
  const TempDir folder;
  Runner runner(tiny_model(name).write_gguf(folder / "tiny.gguf"), isa, KvType::kF32);
  const auto tokens = golden.at("tokens").get<std::vector<int32_t>>();
  const auto logits = runner.run_chunked(tokens, {tokens.size()});
  const auto actual = rows_of(logits, golden.at("rows"), runner.vocab_size());
  const float difference = largest_difference(actual, golden.at("logits"));
  RecordProperty("largest_difference", fmt::format("{:.2e}", difference));
  EXPECT_LT(difference, 1e-4f);
}

// In one batch with a sequence that wants logits: each gets its own.
TEST_P(AgainstNumpy, HiddenStates) {
  const auto& [name, isa] = GetParam();
  const Json& golden = golden_model(name);
  const TempDir folder;
  Runner runner(tiny_model(name).write_gguf(folder / "tiny.gguf"), isa, KvType::kF32);
  const auto tokens = golden.at("tokens").get<std::vector<int32_t>>();
  const auto num_tokens = static_cast<int64_t>(tokens.size());
  const std::vector<int32_t> table = {5, 2, 7}, other_table = {1, 3, 4};
  const ForwardSequence batch[] = {
      {.tokens = tokens, .first_position = 0, .block_table = other_table, .num_logits = num_tokens},
      {.tokens = tokens, .first_position = 0, .block_table = table, .num_logits = num_tokens, .wants_hidden = true}};
  const auto logits = runner.run(batch);
  const auto hidden = runner.transformer().hidden();
  const auto hidden_size = static_cast<size_t>(runner.transformer().config().hidden_size);
  ASSERT_EQ(hidden.size(), tokens.size() * hidden_size);
  EXPECT_LT(largest_difference(rows_of(logits, golden.at("rows"), runner.vocab_size()), golden.at("logits")), 1e-4f);
  EXPECT_LT(
      largest_difference(rows_of({hidden.begin(), hidden.end()}, golden.at("rows"), hidden_size), golden.at("hidden")),
      1e-4f);
}

TEST_P(AgainstNumpy, HuggingFaceLogits) {
  const auto& [name, isa] = GetParam();
  const Json& golden = golden_model(name);
  const TempDir folder;
  Runner runner(tiny_model(name).write_hf(folder / "tiny"), isa, KvType::kF32);
  const auto tokens = golden.at("tokens").get<std::vector<int32_t>>();
  const auto logits = runner.run_chunked(tokens, {tokens.size()});
  const auto actual = rows_of(logits, golden.at("rows"), runner.vocab_size());
  EXPECT_LT(largest_difference(actual, golden.at("logits")), 1e-4f);
}

INSTANTIATE_TEST_SUITE_P(Models, AgainstNumpy,
                         ::testing::Combine(::testing::ValuesIn(model_names()), ::testing::ValuesIn(supported_isas())),
                         [](const auto& entry) {
                           return std::get<0>(entry.param) + "_" + isa_suffix(std::get<1>(entry.param));
                         });

class TransformerTest : public ::testing::TestWithParam<Isa> {
 protected:
  TempDir folder;
  const std::vector<int32_t> tokens = golden_model("qwen2_ratio_6_tied").at("tokens");
};

// The same numbers in either container; for llama the order of a head's dimensions differs, and so the rounding.
TEST_P(TransformerTest, Bf16ContainersAgree) {
  for (const char* name : {"qwen2_ratio_7", "qwen3_ratio_4_tied", "llama_ratio_1"}) {
    TinyModel model = tiny_model(name);
    Runner exact(model.write_gguf(folder / "exact.gguf"), GetParam(), KvType::kF32);
    model.round_to_bf16();
    Runner gguf(model.write_gguf(folder / "tiny.gguf", TensorType::kBF16), GetParam(), KvType::kF32);
    Runner hf(model.write_hf(folder / "tiny", TensorType::kBF16), GetParam(), KvType::kF32);
    const auto a = gguf.run_chunked(tokens, {tokens.size()}), b = hf.run_chunked(tokens, {tokens.size()});
    EXPECT_LT(largest_difference(a, b), 1e-4f) << name;
    const float rounding = largest_difference(a, exact.run_chunked(tokens, {tokens.size()}));
    EXPECT_LT(rounding, 0.5f) << name;
    EXPECT_GT(rounding, 1e-4f) << name << ": the weights were not rounded";
  }
}

TEST_P(TransformerTest, ChunkingChangesNoBit) {
  for (const char* name : {"qwen2_ratio_6_tied", "qwen3_ratio_2", "llama_ratio_13"}) {
    const auto path = tiny_model(name).write_gguf(folder / "tiny.gguf");
    for (KvType type : {KvType::kF32, KvType::kBF16, KvType::kInt8}) {
      Runner runner(path, GetParam(), type);
      const auto whole = bits(runner.run_chunked(tokens, {tokens.size()}));
      for (const auto& chunks : std::vector<std::vector<size_t>>{{1}, {7}, {33, 1, 30, 5, 1}, {64, 3, 1}}) {
        Runner other(path, GetParam(), type, 1);
        EXPECT_EQ(bits(other.run_chunked(tokens, chunks)), whole) << name << ", first chunk " << chunks[0];
      }
    }
  }
}

TEST_P(TransformerTest, ChunkingQuantisedModelsChangesNoBit) {
  for (const TensorType weights : {TensorType::kQ4_K, TensorType::kQ6_K, TensorType::kQ8_0}) {
    const auto path = RandomModel(weights).write(folder / "random.gguf");
    for (KvType type : {KvType::kBF16, KvType::kInt8}) {
      Runner runner(path, GetParam(), type);
      const auto whole = bits(runner.run_chunked(tokens, {tokens.size()}));
      for (const auto& chunks : std::vector<std::vector<size_t>>{{1}, {3}, {7}, {33, 1, 30, 5, 1}}) {
        Runner other(path, GetParam(), type, 1);
        EXPECT_EQ(bits(other.run_chunked(tokens, chunks)), whole)
            << info_of(weights).name << ", first chunk " << chunks[0];
      }
    }
  }
}

TEST_P(TransformerTest, NeighboursChangeNoBit) {
  const auto path = tiny_model("qwen2_ratio_7").write_gguf(folder / "tiny.gguf");
  Runner alone(path, GetParam(), KvType::kBF16), mixed(path, GetParam(), KvType::kBF16);
  const auto expected = alone.run_chunked(tokens, {tokens.size() - 1, 1});

  std::vector<int32_t> other(40);
  std::iota(other.begin(), other.end(), 3);
  const std::span<const int32_t> a(tokens), b(other);
  const std::vector<int32_t> table_a = {9, 3, 11}, table_b = {4, 12}, table_c = {6};
  const size_t last = tokens.size() - 1, vocab = mixed.vocab_size();
  const std::vector<ForwardSequence> first = {
      {b.first(20), 0, table_b, 0}, {a.first(last), 0, table_a, 1}, {b.first(5), 0, table_c, 2}};
  const auto first_logits = mixed.run(first);
  ASSERT_EQ(first_logits.size(), 3 * vocab) << "rows without logits wanted are left out";
  const std::vector<ForwardSequence> second = {{a.subspan(last), static_cast<int64_t>(last), table_a, 1},
                                               {b.subspan(20), 20, table_b, 1}};
  const auto second_logits = mixed.run(second);
  const auto row = [&](const std::vector<float>& logits, size_t idx) { return bits(rows_of(logits, {idx}, vocab)); };
  EXPECT_EQ(row(first_logits, 0), row(expected, last - 1));
  EXPECT_EQ(row(second_logits, 0), row(expected, last));
}

TEST_P(TransformerTest, FewerRowsAskedForAreTheSameBits) {
  const auto path = tiny_model("qwen3_ratio_2").write_gguf(folder / "tiny.gguf");
  Runner all(path, GetParam(), KvType::kBF16), some(path, GetParam(), KvType::kBF16);
  const auto expected = all.run_chunked(tokens, {tokens.size()});
  const std::span<const int32_t> whole(tokens);
  const std::vector<int32_t> table = {9, 3, 11}, other_table = {4, 12, 6}, third_table = {7};
  const size_t last = tokens.size() - 1;
  const std::vector<ForwardSequence> batch = {
      {.tokens = whole, .first_position = 0, .block_table = table, .num_logits = 3},
      {.tokens = whole.first(40), .first_position = 0, .block_table = other_table, .num_logits = 0},
      {.tokens = whole.first(1), .first_position = 0, .block_table = third_table, .num_logits = 1}};
  const auto rows = [&](const std::vector<size_t>& wanted) {
    return bits(rows_of(expected, wanted, all.vocab_size()));
  };
  EXPECT_EQ(bits(some.run(batch)), rows({last - 2, last - 1, last, 0}));
  const ForwardSequence rest{whole.subspan(40), 40, other_table, 1};
  EXPECT_EQ(bits(some.run({&rest, 1})), rows({last})) << "keys of rows that were not asked for";
}

TEST_P(TransformerTest, LongChunksAreSplitInsideUnseen) {
  Json config = golden_model("llama_ratio_1").at("config");
  config["max_position_embeddings"] = 2048;
  Runner whole(TinyModel(config).write_gguf(folder / "tiny.gguf"), GetParam(), KvType::kF32);
  Runner cut(folder / "tiny.gguf", GetParam(), KvType::kF32);
  std::vector<int32_t> many(520), table(17);
  for (size_t i = 0; i < many.size(); ++i) many[i] = static_cast<int32_t>(i * i % 61);
  std::iota(table.begin(), table.end(), 0);
  auto store = KvStore::allocate(whole.transformer().config(), KvType::kF32, 17).value();
  const ForwardSequence once{many, 0, table, 1};
  const auto logits = whole.transformer().forward({&once, 1}, store);
  const std::vector<float> expected(logits.begin(), logits.end());
  const ForwardSequence head{std::span(many).first(511), 0, table, 0},
      tail{std::span(many).subspan(511), 511, table, 1};
  EXPECT_TRUE(cut.transformer().forward({&head, 1}, store).empty());
  const auto again = cut.transformer().forward({&tail, 1}, store);
  EXPECT_EQ(bits({again.begin(), again.end()}), bits(expected));
}

TEST_P(TransformerTest, Bf16KvIsCloseToF32) {
  const auto path = tiny_model("qwen3_ratio_2").write_gguf(folder / "tiny.gguf");
  Runner exact(path, GetParam(), KvType::kF32), rounded(path, GetParam(), KvType::kBF16);
  const float difference = largest_difference(exact.run_chunked(tokens, {70}), rounded.run_chunked(tokens, {70}));
  EXPECT_LT(difference, 0.1f);
  EXPECT_GT(difference, 0.0f);
}

TEST_P(TransformerTest, Int8KvIsCloseToF32) {
  for (const char* name : {"qwen3_ratio_2", "qwen2_ratio_7", "llama_ratio_3_tied"}) {
    const auto path = tiny_model(name).write_gguf(folder / "tiny.gguf");
    Runner exact(path, GetParam(), KvType::kF32), rounded(path, GetParam(), KvType::kInt8);
    const float difference = largest_difference(exact.run_chunked(tokens, {70}), rounded.run_chunked(tokens, {70}));
    EXPECT_LT(difference, 0.2f) << name;
    EXPECT_GT(difference, 0.0f) << name;
  }
}

TEST_P(TransformerTest, CopiedBlocksContinueAlike) {
  const auto path = tiny_model("llama_ratio_3_tied").write_gguf(folder / "tiny.gguf");
  Runner runner(path, GetParam(), KvType::kBF16);
  const std::vector<int32_t> table = {1, 2}, copied = {1, 8};
  const std::span<const int32_t> all(tokens);
  const ForwardSequence prompt{all.first(45), 0, table, 0};
  EXPECT_TRUE(runner.run({&prompt, 1}).empty());
  runner.kv().copy_block(2, 8);
  const std::vector<ForwardSequence> both = {{all.subspan(45, 1), 45, table, 1}, {all.subspan(45, 1), 45, copied, 1}};
  const auto logits = runner.run(both);
  EXPECT_EQ(bits(rows_of(logits, {0}, runner.vocab_size())), bits(rows_of(logits, {1}, runner.vocab_size())));
}

TEST_P(TransformerTest, SizesAreThoseOfTheWeights) {
  const TinyModel tied = tiny_model("llama_ratio_3_tied");
  Runner runner(tied.write_gguf(folder / "tied.gguf"), GetParam(), KvType::kF32);
  size_t matrices = 0, all = 0;
  for (const auto& [name, tensor] : tied.tensors) {
    all += tensor.values.size() * 4;
    if (tensor.shape.size() == 2) matrices += tensor.values.size() * 4;
  }
  // Packing pads outputs to 16: of 72, 61 and 24 here.
  EXPECT_GE(runner.transformer().bytes_per_token(), matrices);
  EXPECT_LE(runner.transformer().bytes_per_token(), matrices * 5 / 4);
  EXPECT_GE(runner.transformer().weight_bytes(), all);
}

INSTANTIATE_TEST_SUITE_P(Isas, TransformerTest, ::testing::ValuesIn(supported_isas()),
                         [](const auto& entry) { return isa_suffix(entry.param); });

// What is wrong with a file is said by the name of the tensor.
class LoadRefusal : public ::testing::Test {
 protected:
  std::string error_of(const std::filesystem::path& path) {
    auto checkpoint = Checkpoint::open(path);
    if (!checkpoint) return checkpoint.error().message;
    ThreadPool pool(1);
    auto loaded = Transformer::load(*checkpoint, Isa::kScalar, pool);
    return loaded ? "" : loaded.error().message;
  }
  TempDir folder;
  TinyModel model = tiny_model("qwen2_ratio_1");
};

TEST_F(LoadRefusal, MissingTensor) {
  model.tensors.erase("model.layers.1.mlp.up_proj.weight");
  EXPECT_EQ(error_of(model.write_gguf(folder / "tiny.gguf")),
            "[model] tensor blk.1.ffn_up.weight: expected [72 x 64], the file has no such tensor");
  EXPECT_EQ(error_of(model.write_hf(folder / "tiny")),
            "[model] tensor model.layers.1.mlp.up_proj.weight: expected [72 x 64], the file has no such tensor");
}

TEST_F(LoadRefusal, WrongShape) {
  model.tensors["model.layers.0.self_attn.k_proj.weight"] = {{32, 64}, std::vector<float>(32 * 64)};
  EXPECT_EQ(error_of(model.write_gguf(folder / "tiny.gguf")),
            "[model] tensor blk.0.attn_k.weight: expected [64 x 64], file holds [32 x 64]");
}

TEST_F(LoadRefusal, WrongBiasLength) {
  model.tensors["model.layers.0.self_attn.k_proj.bias"] = {{8}, std::vector<float>(8)};
  EXPECT_EQ(error_of(model.write_gguf(folder / "tiny.gguf")),
            "[model] tensor blk.0.attn_k.bias: expected [64], file holds [8]");
}

// Such a model would run and answer nonsense.
TEST_F(LoadRefusal, MissingBiases) {
  const TinyModel whole = model;
  model.tensors.erase("model.layers.1.self_attn.q_proj.bias");
  EXPECT_EQ(error_of(model.write_gguf(folder / "tiny.gguf")),
            "[model] tensor blk.1.attn_q.bias: expected [64], the file has no such tensor");
  for (const char* part : {"q", "k", "v"})
    for (const char* layer : {"0", "1"})
      model.tensors.erase(fmt::format("model.layers.{}.self_attn.{}_proj.bias", layer, part));
  EXPECT_EQ(error_of(model.write_hf(folder / "tiny")),
            "[model] tensor model.layers.0.self_attn.q_proj.bias: expected [64], the file has no such tensor (and 5 "
            "more, which retort info lists)");
  model = whole;  // Qwen2 has no such bias by itself; a file that has it in one layer lacks it in the other
  model.tensors["model.layers.0.mlp.down_proj.bias"] = {{64}, std::vector<float>(64)};
  EXPECT_EQ(error_of(model.write_gguf(folder / "tiny.gguf")),
            "[model] tensor blk.1.ffn_down.bias: expected [64], the file has no such tensor");
}

TEST_F(LoadRefusal, MissingBiasesOfWhatSaysMlpBias) {
  model.config["mlp_bias"] = true;
  EXPECT_EQ(error_of(model.write_hf(folder / "tiny")),
            "[model] tensor model.layers.0.mlp.gate_proj.bias: expected [72], the file has no such tensor (and 5 "
            "more, which retort info lists)");
}

TEST_F(LoadRefusal, UnknownTensors) {
  model.tensors["model.layers.0.self_attn.sinks"] = {{4}, std::vector<float>(4)};
  model.tensors["model.layers.2.mlp.up_proj.weight"] = {{72, 64}, std::vector<float>(72 * 64)};
  EXPECT_EQ(
      error_of(model.write_hf(folder / "tiny")),
      "[model] tensor model.layers.0.self_attn.sinks: not part of architecture 'qwen2' with 2 layers as supported "
      "here (and 1 more, which retort info lists)");
  EXPECT_NE(error_of(model.write_gguf(folder / "tiny.gguf")).find("not part of architecture 'qwen2'"),
            std::string::npos);
}

TEST_F(LoadRefusal, QkNormOnlyInQwen3) {
  model.tensors["model.layers.0.self_attn.q_norm.weight"] = {{16}, std::vector<float>(16)};
  EXPECT_NE(error_of(model.write_hf(folder / "tiny")).find("self_attn.q_norm.weight: not part of"), std::string::npos);
}

}  // namespace
}  // namespace retort
