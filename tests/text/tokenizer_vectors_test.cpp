// llama.cpp's vocabularies with the ids Hugging Face's tokenizers give for their inputs.
#include <sstream>

#include "test_vocabularies.h"

namespace retort {
namespace {

struct Vector {
  std::string text;
  std::vector<TokenId> ids;
};

std::vector<Vector> read_vectors(const std::filesystem::path& vocabulary) {
  constexpr std::string_view kSeparator = "\n__ggml_vocab_test__\n";
  const std::string inputs = read_file(vocabulary.string() + ".inp");
  std::istringstream outputs(read_file(vocabulary.string() + ".out"));
  std::vector<Vector> vectors;
  size_t at = 0;
  for (std::string line; std::getline(outputs, line);) {
    const size_t end = inputs.find(kSeparator, at);
    Vector vector;
    vector.text = inputs.substr(at, end == std::string::npos ? end : end - at);
    at = end == std::string::npos ? inputs.size() : end + kSeparator.size();
    std::istringstream numbers(line);
    vector.ids.assign(std::istream_iterator<TokenId>(numbers), {});
    vectors.push_back(std::move(vector));
  }
  return vectors;
}

class TokenizerVectors : public ::testing::TestWithParam<const char*> {};

TEST_P(TokenizerVectors, EncodeAndDecodeAsTheOracle) {
  const auto path = vocabulary_path(GetParam());
  RETORT_SKIP_WITHOUT(path);
  const auto tokenizer = load_gguf_tokenizer(path);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const auto vectors = read_vectors(path);
  ASSERT_GE(vectors.size(), 40u);
  for (const Vector& vector : vectors) {
    EXPECT_EQ(tokenizer->encode(vector.text, {.add_special = false}), vector.ids) << vector.text;
    EXPECT_EQ(tokenizer->decode(vector.ids, false), vector.text);
  }
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, TokenizerVectors,
                         ::testing::Values("qwen2", "llama-bpe", "gpt-2", "deepseek-llm", "deepseek-coder",
                                           "llama-spm"),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace retort
