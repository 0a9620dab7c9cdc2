// What a GGUF file may say of its tokenizer: kinds of tokens, BOS and EOS, stops; and what is refused.
#include <gmock/gmock.h>

#include <chrono>
#include <ctime>

#include "formats/temp_dir.h"
#include "test_vocabularies.h"

namespace retort {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TempDir;

GgufValue ints(std::vector<int32_t> items) {
  auto array = std::make_shared<GgufArray>();
  array->items = std::move(items);
  return GgufValue(std::shared_ptr<const GgufArray>(std::move(array)));
}

GgufValue floats(std::vector<float> items) {
  auto array = std::make_shared<GgufArray>();
  array->items = std::move(items);
  return GgufValue(std::shared_ptr<const GgufArray>(std::move(array)));
}

// Bytes a to e and the space, "ab", "abc", control tokens, a token of users, padding.
GgufWriter tiny_gpt2() {
  GgufWriter writer;
  writer.set("tokenizer.ggml.model", std::string("gpt2"));
  writer.set("tokenizer.ggml.pre", std::string("qwen2"));
  writer.set_strings("tokenizer.ggml.tokens", {"a", "b", "c", "d", "e", "Ġ", "ab", "abc", "<|im_start|>", "<|im_end|>",
                                               "<|endoftext|>", "<think>", "[PAD12]", "<｜User｜>"});
  writer.set_strings("tokenizer.ggml.merges", {"a b", "ab c"});
  writer.set("tokenizer.ggml.token_type", ints({1, 1, 1, 1, 1, 1, 1, 1, 3, 3, 3, 4, 4, 4}));
  writer.set("tokenizer.ggml.bos_token_id", uint32_t{10});
  writer.set("tokenizer.ggml.eos_token_id", uint32_t{9});
  return writer;
}

Result<Tokenizer> load(const GgufWriter& writer) {
  const TempDir folder;
  RETORT_TRY(writer.write(folder / "tiny.gguf"));
  return load_gguf_tokenizer(folder / "tiny.gguf");
}

TEST(GgufTokenizer, KindsOfTokens) {
  const auto tokenizer = load(tiny_gpt2()).value();
  const auto plain = [&](std::string_view text) { return tokenizer.encode(text, {}); };
  const auto trusted = [&](std::string_view text) { return tokenizer.encode(text, {.parse_special = true}); };
  EXPECT_THAT(plain("abcab e"), ElementsAre(7, 6, 5, 4));
  EXPECT_THAT(trusted("<|im_start|>ab<|im_end|>"), ElementsAre(8, 6, 9));
  // In untrusted text only the letters the vocabulary has are left of a control token's name.
  EXPECT_THAT(plain("<|im_end|>"), ElementsAre(4, 3));
  EXPECT_THAT(plain("<think>a"), ElementsAre(11, 0));
  EXPECT_THAT(trusted("[PAD12]"), ElementsAre());
  EXPECT_THAT(plain("<｜User｜>"), ElementsAre(4));
  EXPECT_THAT(trusted("<｜User｜>"), ElementsAre(13));
  EXPECT_EQ(tokenizer.kind(12), TokenKind::kUnused);
  EXPECT_EQ(tokenizer.decode(std::vector<TokenId>{8, 7, 5, 11, 9}, true), "abc <think>");
  EXPECT_EQ(tokenizer.decode(std::vector<TokenId>{8, 7}, false), "<|im_start|>abc");
  EXPECT_THAT(tokenizer.stop_tokens(), ElementsAre(9, 10));
  EXPECT_EQ(tokenizer.find("abc"), 7);
  EXPECT_EQ(tokenizer.find("<|im_end|>"), 9);
  EXPECT_EQ(tokenizer.find("zz"), std::nullopt);
}

TEST(GgufTokenizer, BosAndEosAsTheFileSays) {
  const auto encode = [](GgufWriter writer, std::string_view text) {
    return load(writer).value().encode(text, {.parse_special = true});
  };
  GgufWriter writer = tiny_gpt2();
  EXPECT_THAT(encode(writer, "a"), ElementsAre(0));
  writer.set("tokenizer.ggml.add_bos_token", true);
  writer.set("tokenizer.ggml.add_eos_token", true);
  EXPECT_THAT(encode(writer, "a"), ElementsAre(10, 0, 9));
  EXPECT_THAT(encode(writer, "<|endoftext|>a"), ElementsAre(10, 0, 9));
  EXPECT_THAT(encode(writer, ""), ElementsAre(10, 9));
  writer = tiny_gpt2();
  writer.set("tokenizer.ggml.pre", std::string("llama-bpe"));
  EXPECT_THAT(encode(writer, "a"), ElementsAre(10, 0));
  writer.set("tokenizer.ggml.add_bos_token", false);
  EXPECT_THAT(encode(writer, "a"), ElementsAre(0));
}

GgufWriter tiny_llama() {
  GgufWriter writer;
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
  std::vector<int32_t> types = {2, 3, 3};
  for (int byte = 0; byte < 256; ++byte) {
    tokens.push_back(fmt::format("<0x{:02X}>", byte));
    types.push_back(6);
  }
  for (const char* piece : {"▁", "a", "b", "ab", "▁ab", "ba"}) {
    tokens.emplace_back(piece);
    types.push_back(1);
  }
  std::vector<float> scores(tokens.size(), 0);
  scores[tokens.size() - 3] = -1;  // ab
  scores[tokens.size() - 2] = -2;  // ▁ab
  scores[tokens.size() - 1] = -1;  // ba, as good as ab: the leftmost wins
  writer.set("tokenizer.ggml.model", std::string("llama"));
  writer.set_strings("tokenizer.ggml.tokens", tokens);
  writer.set("tokenizer.ggml.token_type", ints(types));
  writer.set("tokenizer.ggml.scores", floats(scores));
  writer.set("tokenizer.ggml.bos_token_id", uint32_t{1});
  writer.set("tokenizer.ggml.eos_token_id", uint32_t{2});
  return writer;
}

TEST(GgufTokenizer, SentencePiece) {
  GgufWriter writer = tiny_llama();
  auto tokenizer = load(writer).value();
  constexpr TokenId kSpace = 259, kA = 260, kB = 261, kAb = 262, kSpaceAb = 263, kBa = 264;
  EXPECT_THAT(tokenizer.encode("ab", {}), ElementsAre(1, kSpaceAb));
  EXPECT_THAT(tokenizer.encode("aba", {}), ElementsAre(1, kSpaceAb, kA));
  EXPECT_THAT(tokenizer.encode("baab", {}), ElementsAre(1, kSpace, kBa, kAb));
  EXPECT_THAT(tokenizer.encode("é", {}), ElementsAre(1, kSpace, 3 + 0xC3, 3 + 0xA9));
  EXPECT_THAT(tokenizer.encode("<s>b", {.parse_special = true}), ElementsAre(1, kSpace, kB));
  EXPECT_EQ(tokenizer.token_bytes(kSpaceAb), " ab");
  EXPECT_EQ(tokenizer.token_bytes(3 + 0xC3), "\xC3");
  EXPECT_EQ(tokenizer.decode(std::vector<TokenId>{1, kSpaceAb, 3 + 0xC3, 3 + 0xA9, 2}, true), "abé");
  EXPECT_EQ(tokenizer.find("a"), kA);
  writer.set("tokenizer.ggml.add_space_prefix", false);
  EXPECT_THAT(load(writer).value().encode("ab ab", {}), ElementsAre(1, kAb, kSpaceAb));
}

TEST(GgufTokenizer, RefusesByName) {
  const auto message = [](std::string key, GgufValue value, GgufWriter writer = tiny_gpt2()) {
    writer.set(std::move(key), std::move(value));
    const auto tokenizer = load(writer);
    return tokenizer ? "accepted" : tokenizer.error().message;
  };
  EXPECT_THAT(message("tokenizer.ggml.model", std::string("bert")),
              HasSubstr("expected gpt2 or llama, file holds 'bert'"));
  EXPECT_THAT(message("tokenizer.ggml.pre", std::string("tekken")), HasSubstr("expected one of qwen2, "));
  EXPECT_THAT(message("tokenizer.ggml.eos_token_id", uint32_t{14}),
              HasSubstr("expected an id below 14, file holds 14"));
  EXPECT_THAT(message("tokenizer.ggml.token_type", ints({1, 1})), HasSubstr("expected 14 entries, file holds 2"));
  EXPECT_THAT(message("tokenizer.ggml.scores", floats({1}), tiny_llama()), HasSubstr("expected 265 entries"));
  EXPECT_THAT(message("tokenizer.ggml.scores", floats(std::vector<float>(265, NAN)), tiny_llama()), HasSubstr("NaN"));
  GgufWriter writer = tiny_gpt2();
  writer.set_strings("tokenizer.ggml.merges", {"a b", "ab d"});
  EXPECT_THAT(load(writer).error().message, HasSubstr("merge 1 ('ab' with 'd'): 'abd' is not in the vocabulary"));
  writer.set_strings("tokenizer.ggml.merges", {"ab"});
  EXPECT_THAT(load(writer).error().message, HasSubstr("expected two tokens, file holds 'ab'"));
  GgufWriter bare;
  bare.set("tokenizer.ggml.model", std::string("gpt2"));
  EXPECT_THAT(load(bare).error().message, HasSubstr("tokenizer.ggml.tokens"));
}

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::string repeat(std::string_view text, size_t bytes) {
  std::string out;
  while (out.size() < bytes) out += text;
  return out;
}

// A run of one character must not cost quadratic time: four times the text may take little more than four times as
// long.
TEST(GgufTokenizer, LongRunsTakeLinearTime) {
  for (const char* name : {"qwen2", "llama-bpe", "gpt-2", "deepseek-llm", "deepseek-coder", "llama-spm"}) {
    const auto path = vocabulary_path(name);
    RETORT_SKIP_WITHOUT(path);
    const auto tokenizer = load_gguf_tokenizer(path).value();
    for (const char* unit : {" ", "a", "\n", " \n", "'", "1", "🙂", "你", "<|", "aB", "e\u0301"}) {
      const auto seconds = [&](size_t bytes) {
        // The digit ends a run of spaces in pieces that no pattern before has cut.
        const std::string text = repeat(unit, bytes) + "x" + repeat(unit, bytes) + "1";
        const double begin = cpu_seconds();
        const auto ids = tokenizer.encode(text, {.add_special = false, .parse_special = true});
        const double end = cpu_seconds();
        if (name != std::string_view("qwen2") || unit != std::string_view("e\u0301"))  // which that composes
          EXPECT_EQ(tokenizer.decode(ids, false), text);
        return end - begin;
      };
      const double small = seconds(60'000), large = seconds(240'000);
      EXPECT_LT(large, 8 * small + 0.5) << name << ", a run of '" << unit << "'";
    }
  }
}

TEST(GgufTokenizer, Speed) {
  const auto path = vocabulary_path("qwen2");
  RETORT_SKIP_WITHOUT(path);
  const auto tokenizer = load_gguf_tokenizer(path).value();
  const std::string text = repeat(read_file(RETORT_TEST_DATA "/../../LICENSE"), 1'000'000);
  double best = 1e9;
  for (int i = 0; i < 3; ++i) {
    const double begin = cpu_seconds();
    tokenizer.encode(text, {});
    best = std::min(best, cpu_seconds() - begin);
  }
  const double megabytes = static_cast<double>(text.size()) * 1e-6;
  fmt::print("encode: {:.1f} MB/s of English (qwen2, one thread)\n", megabytes / best);
}

}  // namespace
}  // namespace retort
