#include "engine/llm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "answers.h"
#include "base/thread_pool.h"
#include "engine/logprobs.h"
#include "formats/temp_dir.h"
#include "model/checkpoint.h"
#include "model/transformer.h"
#include "tiny_chat_model.h"

namespace retort::testing {
namespace {

std::unique_ptr<Llm> load(const LlmOptions& options) {
  auto llm = Llm::load(options);
  EXPECT_TRUE(llm) << llm.error().message;
  return llm ? std::move(*llm) : nullptr;
}

std::string rendered(const Llm& llm) {
  ChatTemplateInput input;
  input.messages = {{{"role", "user"}, {"content", "hi"}}};
  return llm.chat_template()->render(input).value_or("(error)");
}

Answers submit(Engine& engine, EngineRequest request) {
  Answers answers(request.num_samples);
  request.on_event = answers.on_event();
  const auto result = engine.submit(std::move(request));
  EXPECT_TRUE(result) << result.error().message;
  return answers;
}

TEST(Llm, PutsAModelTogether) {
  TempDir dir;
  const auto path = write_tiny_chat_model(dir / "tiny.gguf");
  const auto llm = load({.model = path, .num_threads = 1, .kv_cache_bytes = 1 << 20, .engine = {.max_num_seqs = 8}});
  EXPECT_EQ(llm->config().architecture, "qwen2");
  EXPECT_GT(llm->weight_bytes(), 100000u);
  EXPECT_LE(llm->kv_bytes(), size_t{1} << 20);
  EXPECT_GT(llm->kv_bytes(), size_t{1} << 19);
  EXPECT_EQ(llm->max_model_len(), 1024) << "the model's own";
  EXPECT_EQ(llm->engine().config().max_num_seqs, 8);
  EXPECT_EQ(llm->engine().config().stop_tokens, llm->tokenizer().stop_tokens());
  EXPECT_THAT(llm->tokenizer().stop_tokens(), ::testing::Contains(258));
}

TEST(Llm, FindsTheChatTemplate) {
  TempDir dir;
  const auto bare = write_tiny_chat_model(dir / "bare.gguf");
  const auto own = write_tiny_chat_model(dir / "own.gguf", "own:{{ messages[0].content }}{{ eos_token }}");
  const auto broken = write_tiny_chat_model(dir / "broken.gguf", "{% if %}");
  LlmOptions options{.model = bare, .num_threads = 1, .kv_cache_bytes = 1 << 20};
  EXPECT_THAT(rendered(*load(options)), ::testing::HasSubstr("<|im_start|>user\nhi<|im_end|>")) << "the family's";
  options.model = own;
  EXPECT_EQ(rendered(*load(options)), "own:hi<|im_end|>");
  options.chat_template_source = "given:{{ messages[0].content }}";
  EXPECT_EQ(rendered(*load(options)), "given:hi");
  options.chat_template_source = "{% if %}";
  EXPECT_EQ(Llm::load(options).error().kind, ErrorKind::kBadInput);
  options = {.model = broken, .num_threads = 1, .kv_cache_bytes = 1 << 20};
  const auto without = load(options);
  EXPECT_EQ(without->chat_template(), nullptr) << "completions are still possible";
  EXPECT_THAT(without->chat_fault(),
              ::testing::HasSubstr("a chat template that does not compile ([chat template] line 1"));
}

TEST(Llm, TakesSamplingFromTheOptionsWhereTheModelRecommendsNone) {
  TempDir dir;
  const auto path = write_tiny_chat_model(dir / "tiny.gguf");
  const auto llm = load({.model = path,
                         .sampling = {.temperature = 0.7f, .top_p = std::nullopt, .top_k = 20},
                         .num_threads = 1,
                         .kv_cache_bytes = 1 << 20});
  EXPECT_EQ(llm->config().temperature, 0.7f);
  EXPECT_EQ(llm->config().top_p, std::nullopt);
  EXPECT_EQ(llm->config().top_k, 20);
}

TEST(Llm, SaysWhatIsWrong) {
  TempDir dir;
  EXPECT_EQ(Llm::load({.model = dir / "absent.gguf"}).error().kind, ErrorKind::kNotFound);
  const auto path = write_tiny_chat_model(dir / "tiny.gguf");
  EXPECT_THAT(Llm::load({.model = path, .max_model_len = 5000}).error().message,
              ::testing::HasSubstr("the model's own 1024 tokens"));
}

// Token after token through one transformer, without paging, batching or cache; each with its log-probability.
std::vector<std::pair<TokenId, float>> greedy_alone(const std::filesystem::path& path, std::vector<TokenId> tokens,
                                                    int num_tokens) {
  ThreadPool pool(1);
  const auto checkpoint = Checkpoint::open(path).value();
  auto transformer = Transformer::load(checkpoint, select_isa().value(), pool).value();
  auto kv = KvStore::allocate(transformer.config(), KvType::kBF16, 32).value();
  std::vector<int32_t> table(32);
  std::iota(table.begin(), table.end(), 0);
  std::vector<std::pair<TokenId, float>> answer;
  std::vector<float> scratch(transformer.config().vocab_size);
  int64_t position = 0;
  while (std::ssize(answer) < num_tokens) {
    const ForwardSequence sequence{std::span(tokens).subspan(position), position, table, 1};
    const auto logits = transformer.forward({&sequence, 1}, kv);
    position = std::ssize(tokens);
    tokens.push_back(static_cast<TokenId>(std::ranges::max_element(logits) - logits.begin()));
    answer.emplace_back(tokens.back(), Logprobs(logits, scratch).of(tokens.back()).logprob);
  }
  return answer;
}

// The real kernels under the real engine: batched, in chunks, preempted and from the cache, every greedy answer is the
// one the transformer gives to its prompt alone.
TEST(Llm, GreedyAnswersAmongOthersAreThoseAlone) {
  TempDir dir;
  const auto path = write_tiny_chat_model(dir / "tiny.gguf");
  std::mt19937 random(2);
  std::vector<std::vector<TokenId>> prompts;
  for (int i = 0; i < 24; ++i) {
    std::vector<TokenId> prompt(i % 3 == 0 ? 40 : 0, 65);  // some begin alike
    const size_t length = prompt.size() + 1 + random() % 90;
    while (prompt.size() < length) prompt.push_back(static_cast<TokenId>(random() % 256));
    prompts.push_back(prompt);
  }
  const auto bytes_per_block = KvStore::bytes_per_block(Checkpoint::open(path)->config(), KvType::kBF16);
  const auto llm = load({.model = path,
                         .num_threads = 2,
                         .kv_cache_bytes = 20 * bytes_per_block,
                         .engine = {.max_num_seqs = 8, .max_num_batched_tokens = 48}});
  std::vector<Answers> answers;
  for (const auto& prompt : prompts)
    answers.push_back(
        submit(llm->engine(),
               {.prompt = prompt, .params = {.temperature = 0, .max_tokens = 50, .ignore_eos = true, .logprobs = 0}}));
  for (size_t i = 0; i < prompts.size(); ++i) {
    std::vector<std::pair<TokenId, float>> answer;
    for (const auto& token : answers[i].wait_one().sampled) answer.emplace_back(token.id, token.logprob->logprob);
    EXPECT_EQ(answer, greedy_alone(path, prompts[i], 50)) << "prompt " << i;
  }
  EXPECT_GT(llm->engine().stats().num_preemptions, 0u);
  EXPECT_GT(llm->engine().stats().cached_prompt_tokens, 0u);
}

}  // namespace
}  // namespace retort::testing
