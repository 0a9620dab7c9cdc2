// A mask says of every token what accepting it says, and numbers come to an end.
#include "text/grammar.h"

#include <gmock/gmock.h>

#include "test_vocabularies.h"

namespace retort {
namespace {

constexpr TokenId kStride = 29;  // so many tokens further is the next one tried: all would take a minute and a half

struct Vocabulary {
  Tokenizer tokenizer;
  Grammars grammars{tokenizer};

  GrammarMatcher after(GrammarKind kind, std::string_view grammar, std::string_view text) const {
    auto matcher = grammars.compile(kind, grammar);
    RETORT_CHECK(matcher.has_value());
    for (const TokenId id : tokenizer.encode(text, {.add_special = false}))
      EXPECT_TRUE(matcher->accept(id)) << grammar << " after " << text;
    return std::move(*matcher);
  }

  std::vector<uint32_t> mask(GrammarMatcher& matcher) const {
    std::vector<uint32_t> words((static_cast<size_t>(tokenizer.vocab_size()) + 31) / 32);
    EXPECT_TRUE(matcher.mask(words));
    return words;
  }

  bool allows(const std::vector<uint32_t>& words, std::string_view token) const {
    const auto id = static_cast<size_t>(tokenizer.find(token).value());
    return (words[id / 32] >> id % 32 & 1) != 0;
  }

  bool may_end(const std::vector<uint32_t>& words) const {
    const auto id = static_cast<size_t>(tokenizer.stop_tokens().front());
    return (words[id / 32] >> id % 32 & 1) != 0;
  }
};

class GrammarTest : public ::testing::Test {
 protected:
  // Made once: what they keep for grammars takes a while.
  static const Vocabulary& vocabulary(const std::string& name) {
    static std::map<std::string, std::unique_ptr<Vocabulary>> made;
    auto& vocabulary = made[name];
    if (!vocabulary) vocabulary = std::make_unique<Vocabulary>(*load_gguf_tokenizer(vocabulary_path(name)));
    return *vocabulary;
  }

  static void expect_mask_is_what_is_accepted(std::string_view schema, std::string_view text,
                                              GrammarKind kind = GrammarKind::kJsonSchema) {
    const Vocabulary& vocabulary = GrammarTest::vocabulary("qwen2");
    GrammarMatcher matcher = vocabulary.after(kind, schema, text);
    const auto words = vocabulary.mask(matcher);
    int num_wrong = 0;
    for (TokenId id = 0; id < vocabulary.tokenizer.vocab_size(); id += kStride) {
      auto copy = matcher.clone();
      ASSERT_TRUE(copy);
      const bool is_allowed = (words[static_cast<size_t>(id) / 32] >> id % 32 & 1) != 0;
      if (copy->accept(id).has_value() == is_allowed) continue;
      if (++num_wrong < 5)
        ADD_FAILURE() << schema << " after " << text << ": '" << vocabulary.tokenizer.token_bytes(id) << "' "
                      << (is_allowed ? "is allowed and not accepted" : "is accepted and not allowed");
    }
    EXPECT_EQ(num_wrong, 0);
  }

  void SetUp() override {
    for (const char* name : {"qwen2", "llama-bpe"}) RETORT_SKIP_WITHOUT(vocabulary_path(name));
  }
};

TEST_F(GrammarTest, MaskOfStringsIsWhatIsAccepted) {
  for (const char* text : {"", "\"", "\"a", "\"日本", "\"abcde", "\"abcdefgh", "\"abc\\", "\"\\n"})
    expect_mask_is_what_is_accepted(R"({"type": "string", "maxLength": 9})", text);
  for (const char* text : {"\"", "\"ab"})
    expect_mask_is_what_is_accepted(R"({"type": "string", "minLength": 2, "maxLength": 3})", text);
  for (const int longest : {10, 11, 12, 31, 500})
    expect_mask_is_what_is_accepted(fmt::format(R"({{"type": "string", "maxLength": {}}})", longest), "\"");
}

// Characters that are not all alike: what is known of some says nothing of others.
TEST_F(GrammarTest, MaskOfOtherFormsIsWhatIsAccepted) {
  for (const char* pattern : {"^[a-f]{3}$", "^[^a]{1,4}$", "^(é|.{3})$", "^[\\\\x20-\\\\x7e]{1,5}$", "^.{2}b?$"})
    expect_mask_is_what_is_accepted(fmt::format(R"({{"type": "string", "pattern": "{}"}})", pattern), "\"");
  const auto keys =
      R"({"type": "object", "properties": {"ab": {"const": 1}}, "additionalProperties": {"type": "null"}})";
  for (const char* text : {"{", "{\"", "{\"a", "{\"ab\":1,", "{\"ab\":1,\"a"})
    expect_mask_is_what_is_accepted(keys, text);
  expect_mask_is_what_is_accepted(R"({"enum": ["abc", "d", 12]})", "");
  expect_mask_is_what_is_accepted("(?s:.{1,3})", "a", GrammarKind::kRegex);
  expect_mask_is_what_is_accepted("[^a]{0,3}a", "b", GrammarKind::kRegex);
  // The room that is left ends nothing: other characters follow.
  expect_mask_is_what_is_accepted(R"(start: /[^"\\\x00-\x1F\x7F]{1,3}/ /[a-z]{1,5}/)", "", GrammarKind::kLark);
}

TEST_F(GrammarTest, NumbersComeToAnEnd) {
  const Vocabulary& qwen = vocabulary("qwen2");  // a digit a token
  const auto mask = [&](std::string_view schema, const std::string& text) {
    GrammarMatcher matcher = qwen.after(GrammarKind::kJsonSchema, schema, text);
    return qwen.mask(matcher);
  };
  const std::string nineteen(19, '3'), zeros(20, '0');
  const std::string number = R"({"type": "number"})";
  EXPECT_TRUE(qwen.allows(mask(number, nineteen), "3"));
  EXPECT_FALSE(qwen.allows(mask(number, nineteen + "3"), "3"));
  EXPECT_TRUE(qwen.allows(mask(number, nineteen + "3"), "."));
  EXPECT_TRUE(qwen.may_end(mask(number, nineteen + "3")));
  EXPECT_TRUE(qwen.allows(mask(number, nineteen + "3."), "3"));
  EXPECT_FALSE(qwen.allows(mask(number, "0." + nineteen + "3"), "3"));
  EXPECT_TRUE(qwen.allows(mask(R"({"type": "string"})", "\"\\\"" + nineteen + "3"), "3"));
  EXPECT_FALSE(qwen.allows(mask(R"({"type": "array", "items": {"type": "integer"}})", "[" + nineteen + "3"), "3"));
  // Where it may not end yet it goes on.
  const auto positive = mask(R"({"type": "number", "exclusiveMinimum": 0})", "0." + zeros);
  EXPECT_FALSE(qwen.allows(positive, "0"));
  EXPECT_TRUE(qwen.allows(positive, "1"));
  EXPECT_TRUE(qwen.allows(mask(R"({"enum": [300000000000000000000001, 300000000000000000000002]})", "3" + zeros), "0"));
}

TEST_F(GrammarTest, TokensOfSeveralDigitsCount) {
  const Vocabulary& llama = vocabulary("llama-bpe");
  auto matcher = llama.grammars.compile(GrammarKind::kJsonSchema, R"({"type": "integer"})");
  ASSERT_TRUE(matcher);
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(matcher->accept(*llama.tokenizer.find("123")));
  const auto words = llama.mask(*matcher);
  EXPECT_TRUE(llama.allows(words, "1"));
  EXPECT_TRUE(llama.allows(words, "12"));
  EXPECT_FALSE(llama.allows(words, "123"));
}

TEST_F(GrammarTest, OnlyJsonBoundsNumbers) {
  const Vocabulary& qwen = vocabulary("qwen2");
  const auto allows_more = [&](GrammarKind kind, std::string_view grammar, const std::string& text) {
    GrammarMatcher matcher = qwen.after(kind, grammar, text + std::string(30, '3'));
    return qwen.allows(qwen.mask(matcher), "3");
  };
  EXPECT_TRUE(allows_more(GrammarKind::kRegex, "[0-9]+", ""));
  EXPECT_TRUE(allows_more(GrammarKind::kLark, "start: /[0-9]+/", ""));
  EXPECT_FALSE(allows_more(GrammarKind::kLark, R"(start: "call " %json {"type": "integer"})", "call "));
}

}  // namespace
}  // namespace retort
