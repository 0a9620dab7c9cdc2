// Text that comes in pieces gives the same result wherever it is cut.
#include <gmock/gmock.h>

#include "test_vocabularies.h"
#include "text/detokenizer.h"
#include "text/reasoning_parser.h"
#include "text/stop_matcher.h"
#include "text/unicode.h"

namespace retort {
namespace {

// Calls `check` with `text` cut in two at each place, in three at each pair of places, and into single bytes.
template <class Check>
void for_each_cut(const std::string& text, const Check& check) {
  for (size_t a = 0; a <= text.size(); ++a)
    for (size_t b = a; b <= text.size(); ++b) check({text.substr(0, a), text.substr(a, b - a), text.substr(b)});
  std::vector<std::string> bytes;
  for (const char c : text) bytes.emplace_back(1, c);
  check(bytes);
}

using Parts = std::vector<std::string>;

struct StopCase {
  std::vector<std::string> stops;
  std::string text, shown;
  std::optional<std::string> matched;
  bool include = false;
};

TEST(StopMatcher, SameAtEveryCut) {
  const std::vector<StopCase> cases = {
      {{"STOP"}, "one STOP two", "one ", "STOP"},
      {{"STOP"}, "one STOP two", "one STOP", "STOP", true},
      {{"STOP"}, "one STO two ST", "one STO two ST", std::nullopt},
      {{"aab"}, "aaaab!", "aa", "aab"},
      {{"\n\n", "\nUser:"}, "hi\nUser: x", "hi", "\nUser:"},
      {{"abcd", "bc"}, "abcd", "a", "bc"},
      {{"</s>", "s>"}, "x</s>y", "x", "</s>"},
      {{"", "é"}, "café au lait", "caf", "é"},
      {{}, "anything", "anything", std::nullopt},
      {{"abab", "ba"}, "ababab", "a", "ba"},
  };
  for (const StopCase& c : cases)
    for_each_cut(c.text, [&](const Parts& parts) {
      StopMatcher matcher(c.stops, c.include);
      std::string shown;
      for (const std::string& part : parts) shown += matcher.push(part);
      shown += matcher.finish();
      EXPECT_EQ(shown, c.shown) << ::testing::PrintToString(parts);
      EXPECT_EQ(matcher.matched(), c.matched);
    });
}

TEST(StopMatcher, HoldsBackNoMoreThanItMust) {
  StopMatcher matcher({"<|end|>", "zz"}, false);
  EXPECT_EQ(matcher.push("abc<|e"), "abc");
  EXPECT_EQ(matcher.push("x z"), "<|ex ");
  EXPECT_EQ(matcher.push("y"), "zy");
}

TEST(StopMatcher, PassesOverThoseThatEndTooEarly) {
  StopMatcher matcher({"b", "abc", "dd"}, false);
  EXPECT_EQ(matcher.push("xbab", false), "xb");
  EXPECT_EQ(matcher.push("d"), "ab") << "the b has been passed over";
  EXPECT_EQ(matcher.push("d"), "");
  EXPECT_EQ(matcher.matched(), "dd");
}

struct ReasoningCase {
  bool starts_inside;
  std::string text, reasoning, content;
};

TEST(ReasoningParser, SameAtEveryCut) {
  const std::vector<ReasoningCase> cases = {
      {false, "<think>\nI see.\n</think>\n\nParis.", "I see.\n", "Paris."},
      {false, " \n<think>why</think>so", "why", "so"},
      {true, "I see.</think>\n\nParis.", "I see.", "Paris."},
      {true, "\nI see.</think>Paris.", "I see.", "Paris."},
      {true, "<think>\nI see.</think>Paris.", "I see.", "Paris."},
      {true, "\n\n</think>\n\nParis.", "", "Paris."},
      {true, "never ends </thin", "never ends </thin", ""},
      {false, "No thoughts, but <think> and </think>.", "", "No thoughts, but <think> and </think>."},
      {false, "<thinking> is another tag", "", "<thinking> is another tag"},
      {false, "  <thi", "", "  <thi"},
      {false, " \n ", "", " \n "},
      {true, "a<b </think >c</think>d</think>e", "a<b </think >c", "d</think>e"},
      {false, "<think>a</think>\n\n\n", "a", ""},
      {false, "", "", ""},
  };
  for (const ReasoningCase& c : cases)
    for_each_cut(c.text, [&](const Parts& parts) {
      ReasoningParser parser(c.starts_inside);
      ReasoningPiece all;
      const auto add = [&](const ReasoningPiece& piece) {
        all.reasoning += piece.reasoning;
        all.content += piece.content;
      };
      for (const std::string& part : parts) add(parser.push(part));
      add(parser.finish());
      EXPECT_EQ(all.reasoning, c.reasoning) << ::testing::PrintToString(parts);
      EXPECT_EQ(all.content, c.content) << ::testing::PrintToString(parts);
    });
}

// What Python's bytes.decode(errors="replace") gives.
TEST(Unicode, ReplacesDamageAsPythonDoes) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"plain", "plain"},
      {"a\x80z", "a\uFFFDz"},
      {"\xE4\xBD", "\uFFFD"},
      {"\xE4\xBD\xA0\xE5", "你\uFFFD"},
      {"\xF0\x9F\x98", "\uFFFD"},
      {"\xF0\x9F\x98\xC3\xA9", "\uFFFDé"},
      {"\xC0\xAF", "\uFFFD\uFFFD"},
      {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
      {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
      {"\xE0\x80\x80", "\uFFFD\uFFFD\uFFFD"},
      {"\xFF\xFE", "\uFFFD\uFFFD"},
  };
  for (const auto& [bytes, text] : cases) {
    EXPECT_EQ(replace_invalid_utf8(bytes), text);
    // Cut anywhere, holding back what may still be completed.
    for (size_t cut = 0; cut <= bytes.size(); ++cut) {
      const std::string_view head = std::string_view(bytes).substr(0, cut);
      const size_t complete = head.size() - incomplete_utf8_suffix(head);
      EXPECT_EQ(replace_invalid_utf8(head.substr(0, complete)) + replace_invalid_utf8(bytes.substr(complete)), text);
    }
  }
}

class DetokenizerOnQwen : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto path = vocabulary_path("qwen2");
    RETORT_SKIP_WITHOUT(path);
    auto loaded = load_gguf_tokenizer(path);
    ASSERT_TRUE(loaded) << loaded.error().message;
    tokenizer_.emplace(std::move(*loaded));
  }
  std::optional<Tokenizer> tokenizer_;
};

TEST_F(DetokenizerOnQwen, StreamsWholeCharactersOnly) {
  const std::string text = "🦙 naïve 你好, 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \xF0\x9F\x98 and on<|im_end|>";
  const auto ids = tokenizer_->encode(text, {.parse_special = true});
  Detokenizer stream(*tokenizer_);
  std::string shown;
  for (const TokenId id : ids) {
    const std::string piece = stream.push(id);
    EXPECT_EQ(valid_utf8_prefix(piece), piece.size());
    shown += piece;
  }
  shown += stream.finish();
  EXPECT_EQ(shown, "🦙 naïve 你好, 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \uFFFD and on");
  EXPECT_EQ(shown, tokenizer_->decode(ids, true));
}

TEST_F(DetokenizerOnQwen, GivesUpHeldBytesAtTheEnd) {
  Detokenizer stream(*tokenizer_);
  const auto ids = tokenizer_->encode("\xF0\x9F", {});
  std::string shown;
  for (const TokenId id : ids) shown += stream.push(id);
  EXPECT_EQ(shown, "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
  EXPECT_EQ(stream.finish(), "");
}

}  // namespace
}  // namespace retort
