// A tokenizer with its grammars, and ways to ask what these allow, accept and refuse.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "test_vocabularies.h"
#include "text/grammar.h"

namespace retort {

// So many tokens further is the next one tried: all would take a minute and a half.
inline constexpr TokenId kStride = 29;

struct Vocabulary {
  Tokenizer tokenizer;
  Grammars grammars{tokenizer, {.max_time = std::chrono::minutes(10)}};  // a busy machine refuses nothing

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

  // Empty: none.
  static std::string refusal(std::string_view grammar, GrammarKind kind = GrammarKind::kJsonSchema) {
    const auto matcher = vocabulary("qwen2").grammars.compile(kind, grammar);
    return matcher ? "" : matcher.error().message;
  }

  // Whether the text is one of the grammar's.
  static bool writes(std::string_view grammar, std::string_view text, GrammarKind kind = GrammarKind::kJsonSchema) {
    const Vocabulary& qwen = vocabulary("qwen2");
    auto matcher = qwen.grammars.compile(kind, grammar);
    if (!matcher) ADD_FAILURE() << grammar << ": " << matcher.error().message;
    if (!matcher) return false;
    for (const TokenId id : qwen.tokenizer.encode(text, {.add_special = false}))
      if (!matcher->accept(id)) return false;
    return matcher->is_complete() || qwen.may_end(qwen.mask(*matcher));
  }

  void SetUp() override {
    for (const char* name : {"qwen2", "llama-bpe"}) RETORT_SKIP_WITHOUT(vocabulary_path(name));
  }
};

}  // namespace retort
