// Retort's numbers against llama.cpp's (docs/quality.md). Each test prints its figures.
#include "model/llama_goldens.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "model/random_model.h"
#include "model/transformer.h"

namespace retort {
namespace {

using testing::Difference;
using testing::Distributions;
using testing::LlamaGoldens;
using testing::RandomModel;
using testing::TempDir;

constexpr double kMaxKl = 2e-3, kMinTop1 = 0.98;
constexpr double kBf16Kl = 1e-6;  // what keys and values in bfloat16 cost beside llama.cpp's float16

// A model and memory for the keys and values of some sequences.
class Runner {
 public:
  Runner(const std::filesystem::path& path, int64_t num_sequences, int64_t max_tokens, KvType kv_type = KvType::kBF16)
      : pool_(default_num_threads()) {
    const auto checkpoint = Checkpoint::open(path).value();
    transformer_ = std::make_unique<Transformer>(Transformer::load(checkpoint, select_isa().value(), pool_).value());
    const auto blocks = static_cast<int32_t>((max_tokens + kBlockTokens - 1) / kBlockTokens);
    for (int32_t i = 0; i < num_sequences; ++i) {
      tables_.emplace_back(blocks);
      std::iota(tables_.back().begin(), tables_.back().end(), i * blocks);
    }
    const auto num_blocks = static_cast<int32_t>(num_sequences) * blocks;
    kv_ = std::make_unique<KvStore>(KvStore::allocate(transformer_->config(), kv_type, num_blocks).value());
  }

  struct Turn {
    size_t sequence;
    std::span<const int32_t> tokens;
    size_t first_position;
    size_t num_logits;
  };
  // visit(row, logits), rows of all turns in order
  template <class Visit>
  void step(std::span<const Turn> turns, Visit&& visit) {
    std::vector<ForwardSequence> batch;
    for (const Turn& turn : turns)
      batch.push_back({turn.tokens, static_cast<int64_t>(turn.first_position), tables_[turn.sequence],
                       static_cast<int64_t>(turn.num_logits)});
    const auto logits = transformer_->forward(batch, *kv_);
    const auto vocab = static_cast<size_t>(transformer_->config().vocab_size);
    for (size_t row = 0; row < logits.size() / vocab; ++row) visit(row, logits.subspan(row * vocab, vocab));
  }

  // Logits after each token of a sequence that begins anew.
  template <class Visit>
  void read(std::span<const int32_t> tokens, Visit&& visit) {
    constexpr size_t kChunk = 256;
    for (size_t begin = 0; begin < tokens.size(); begin += kChunk) {
      const auto part = tokens.subspan(begin, std::min(kChunk, tokens.size() - begin));
      const Turn turn{0, part, begin, part.size()};
      step({&turn, 1}, [&](size_t, std::span<const float> logits) { visit(logits); });
    }
  }

 private:
  ThreadPool pool_;
  std::unique_ptr<Transformer> transformer_;
  std::unique_ptr<KvStore> kv_;
  std::vector<std::vector<int32_t>> tables_;
};

std::string percent(double share) { return fmt::format("{:.2f} %", 100 * share); }

void print(const std::string& what, const Difference& from_llama, const Difference& from_exact,
           const LlamaGoldens& golden, const std::string& prefix) {
  fmt::print(
      "{}, {} positions: from llama.cpp KL {:.2e}, top-1 {}; from exact arithmetic {:.2e}, {} (llama.cpp {:.2e}, {})\n",
      what, from_llama.num_positions(), from_llama.kl(), percent(from_llama.top1()), from_exact.kl(),
      percent(from_exact.top1()), golden.number(prefix + "llama_from_exact.kl"),
      percent(golden.number(prefix + "llama_from_exact.top1")));
}

class RandomModels : public ::testing::TestWithParam<TensorType> {};

TEST_P(RandomModels, AgreeWithLlamaCpp) {
  const LlamaGoldens golden("random");
  const auto tokens = golden.tokens();
  const std::string prefix = std::string(info_of(GetParam()).name) + ".";
  const auto llama = golden.distributions(prefix + "llama");
  const auto window = golden.count("window");
  const TempDir folder;
  RandomModel model(GetParam());
  Runner runner(model.write(folder / "model.gguf"), 1, static_cast<int64_t>(window));
  model.dequantize_all();
  Runner exact_runner(model.write(folder / "float32.gguf"), 1, static_cast<int64_t>(window), KvType::kF32);

  Distributions exact;
  exact.top_k = llama.top_k;
  Difference from_llama(llama), from_exact(exact);
  for (size_t begin = 0; begin < tokens.size(); begin += window) {
    const auto part = std::span(tokens).subspan(begin, window);
    exact_runner.read(part, [&](std::span<const float> logits) { exact.add(logits); });
    runner.read(part, [&](std::span<const float> logits) {
      from_llama.add(logits);
      from_exact.add(logits);
    });
  }
  print("random " + std::string(info_of(GetParam()).name), from_llama, from_exact, golden, prefix);
  EXPECT_EQ(from_llama.num_positions(), 2048u);
  EXPECT_LT(from_llama.kl(), kMaxKl);
  EXPECT_GE(from_llama.top1(), kMinTop1);
  const double llama_from_exact = golden.number(prefix + "llama_from_exact.kl");
  EXPECT_LT(from_exact.kl(), 1.1 * llama_from_exact + kBf16Kl) << "llama.cpp is nearer";
  EXPECT_LT(from_llama.kl(), 1.2 * (from_exact.kl() + llama_from_exact) + kBf16Kl) << "rounding does not explain it";
}

std::vector<TensorType> all_types() {
  std::vector<TensorType> types;
  for (const auto& info : tensor_types()) types.push_back(info.type);
  return types;
}

INSTANTIATE_TEST_SUITE_P(Types, RandomModels, ::testing::ValuesIn(all_types()),
                         [](const auto& entry) { return std::string(info_of(entry.param).name); });

// Bounds for a model file. Both engines round activations to 8 bits, each in its way, so the distance between them
// holds both their distances to exact arithmetic (docs/quality.md).
struct ModelCase {
  const char* name;
  const char* variable;  // of the environment; names the model file
  double max_kl, min_top1;
  double max_kl_from_exact, min_top1_from_exact;
  float near_tie;  // log-probability by which llama.cpp's choice may lead where an answer parts from it

  friend void PrintTo(const ModelCase& model, std::ostream* out) { *out << model.name; }
};

class KnownModel : public ::testing::TestWithParam<ModelCase> {
 protected:
  void SetUp() override {
    const char* path = std::getenv(GetParam().variable);
    if (path == nullptr || std::filesystem::path(path).filename() != golden.text("model_file") ||
        !std::filesystem::exists(path))
      GTEST_SKIP() << GetParam().variable << " does not name " << golden.text("model_file");
    model = path;
  }

  LlamaGoldens golden{GetParam().name};
  std::filesystem::path model;
};

TEST_P(KnownModel, AgreesWithLlamaCpp) {
  const auto tokens = golden.tokens();
  const auto llama = golden.distributions("llama"), exact = golden.distributions("exact");
  Difference from_llama(llama, 1), from_exact(exact, 1);
  Runner runner(model, 1, std::ssize(tokens));
  runner.read(tokens, [&](std::span<const float> logits) {
    from_llama.add(logits);
    from_exact.add(logits);
  });
  print(GetParam().name, from_llama, from_exact, golden, "");
  fmt::print("{}, after the first token: KL from llama.cpp {:.2e}; from exact arithmetic {:.2e} (llama.cpp {:.2e})\n",
             GetParam().name, from_llama.first_kl(), from_exact.first_kl(), golden.number("llama_from_exact.first_kl"));
  EXPECT_GE(from_llama.num_positions(), 2000u);
  EXPECT_LT(from_llama.kl(), GetParam().max_kl);
  EXPECT_GE(from_llama.top1(), GetParam().min_top1);
  EXPECT_LT(from_exact.kl(), GetParam().max_kl_from_exact);
  EXPECT_GE(from_exact.top1(), GetParam().min_top1_from_exact);
  EXPECT_LT(from_exact.kl(), 1.1 * golden.number("llama_from_exact.kl")) << "llama.cpp is nearer";
  EXPECT_LT(from_exact.first_kl(), 0.5) << "one position alone varies";
}

// With keys and values in int8 it is still no farther from exact arithmetic than llama.cpp with float16.
TEST_P(KnownModel, KeepsItsDistributionsWithInt8Kv) {
  const auto tokens = golden.tokens();
  const auto exact = golden.distributions("exact");
  Difference from_exact(exact, 1);
  Runner runner(model, 1, std::ssize(tokens), KvType::kInt8);
  runner.read(tokens, [&](std::span<const float> logits) { from_exact.add(logits); });
  fmt::print("{}, int8 keys and values: from exact arithmetic KL {:.2e}, top-1 {}\n", GetParam().name, from_exact.kl(),
             percent(from_exact.top1()));
  EXPECT_LT(from_exact.kl(), 1.15 * golden.number("llama_from_exact.kl"));
}

// One greedy answer that follows llama.cpp's until they part.
struct Answer {
  std::vector<int32_t> prompt, expected;
  std::vector<float> margins;  // llama.cpp's log-probability of its choice above the next best
  size_t same_in_exact;        // how many of them exact arithmetic chooses too
  size_t num_equal = 0;
  std::string parting = {};  // empty: they have not parted

  bool is_done() const { return !parting.empty() || num_equal == expected.size(); }
  void next(std::span<const float> logits) {
    const auto best = static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin());
    const int32_t wanted = expected[num_equal];
    if (best == wanted) {
      ++num_equal;
      return;
    }
    const float lead = logits[static_cast<size_t>(best)] - logits[static_cast<size_t>(wanted)];
    parting = fmt::format("part at token {}, where llama.cpp's choice leads by {:.3f}, Retort's by {:.3f}", num_equal,
                          margins[num_equal], lead);
  }
};

std::vector<Answer> answers_of(const LlamaGoldens& golden) {
  std::vector<Answer> answers;
  for (int i = 0; golden.has(fmt::format("prompt.{}", i)); ++i)
    answers.push_back({golden.tokens(fmt::format("prompt.{}", i)), golden.tokens(fmt::format("answer.{}", i)),
                       golden.floats(fmt::format("margin.{}", i)), golden.count(fmt::format("same_in_exact.{}", i))});
  return answers;
}

TEST_P(KnownModel, GivesTheGreedyAnswersOfLlamaCpp) {
  auto answers = answers_of(golden);
  Runner runner(model, std::ssize(answers), 256);
  while (true) {
    std::vector<Runner::Turn> turns;
    for (size_t i = 0; i < answers.size(); ++i) {
      const Answer& answer = answers[i];
      if (answer.is_done()) continue;
      const size_t length = answer.prompt.size() + answer.num_equal;
      if (answer.num_equal == 0)
        turns.push_back({i, answer.prompt, 0, 1});
      else
        turns.push_back({i, std::span(answer.expected).subspan(answer.num_equal - 1, 1), length - 1, 1});
    }
    if (turns.empty()) break;
    runner.step(turns, [&](size_t row, std::span<const float> logits) { answers[turns[row].sequence].next(logits); });
  }

  size_t num_equal = 0, num_equal_in_exact = 0;
  for (size_t i = 0; i < answers.size(); ++i) {
    if (answers[i].same_in_exact == answers[i].expected.size()) ++num_equal_in_exact;
    if (answers[i].parting.empty()) {
      ++num_equal;
      continue;
    }
    fmt::print("{}, answer {}: {}\n", GetParam().name, i, answers[i].parting);
    EXPECT_LT(answers[i].margins[answers[i].num_equal], GetParam().near_tie) << "answer " << i;
  }
  fmt::print("{}: {} of {} greedy answers are llama.cpp's, as are {} of exact arithmetic\n", GetParam().name, num_equal,
             answers.size(), num_equal_in_exact);
  EXPECT_EQ(answers.size(), 10u);
  EXPECT_GE(num_equal + 2, num_equal_in_exact) << "parts from llama.cpp oftener than rounding does";
}

INSTANTIATE_TEST_SUITE_P(
    Models, KnownModel,
    ::testing::Values(ModelCase{"smollm2-135m", "RETORT_TEST_MODEL", 5e-3, 0.955, 4e-3, 0.96, 0.5f},
                      ModelCase{"qwen2.5-coder-1.5b", "RETORT_REAL_MODEL", 3e-3, 0.965, 1e-3, 0.98, 0.3f}),
    [](const auto& entry) { return std::string(std::string_view(entry.param.name).substr(0, 4)); });

}  // namespace
}  // namespace retort
