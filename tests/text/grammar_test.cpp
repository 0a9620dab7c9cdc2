// A mask says of every token what accepting it says, numbers come to an end, and expressions mean what they mean
// elsewhere.
#include "text/grammar.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>

#include "grammar_fixture.h"

namespace retort {
namespace {

using ::testing::HasSubstr;

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
  EXPECT_TRUE(qwen.allows(mask(R"({"enum": [1e-23, 2e-23]})", "0." + zeros), "0"));
}

// Of no more than two digits: what is written is finite in a double.
TEST_F(GrammarTest, ExponentsAreShort) {
  const auto mask = [](const std::string& name, std::string_view schema, const std::string& text) {
    GrammarMatcher matcher = vocabulary(name).after(GrammarKind::kJsonSchema, schema, text);
    return vocabulary(name).mask(matcher);
  };
  const std::string number = R"({"type": "number"})";
  const Vocabulary &qwen = vocabulary("qwen2"), &llama = vocabulary("llama-bpe");  // of which the second has "123"
  for (const char* text : {"1e3", "1E-3", "0.5e+3"}) {
    EXPECT_TRUE(qwen.allows(mask("qwen2", number, text), "3")) << text;
    const auto full = mask("qwen2", number, text + std::string("0"));
    EXPECT_FALSE(qwen.allows(full, "3")) << text;
    EXPECT_TRUE(qwen.may_end(full)) << text;
  }
  const auto begun = mask("llama-bpe", number, "1e");
  EXPECT_TRUE(llama.allows(begun, "12"));
  EXPECT_FALSE(llama.allows(begun, "123"));
  EXPECT_FALSE(llama.allows(mask("llama-bpe", number, "1e1"), "12"));
  // What only looks like an exponent.
  EXPECT_TRUE(qwen.allows(mask("qwen2", R"({"type": "string"})", "\"1e30"), "3"));
  EXPECT_TRUE(
      qwen.allows(mask("qwen2", R"({"type": "array", "items": {"type": ["boolean", "number"]}})", "[true,30"), "3"));
  GrammarMatcher name = qwen.after(GrammarKind::kLark, "start: /a3e[0-9]+/ %json {}", "a3e30");
  EXPECT_TRUE(qwen.allows(qwen.mask(name), "3"));
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

TEST_F(GrammarTest, ExpressionsMeanWhatTheyMeanElsewhere) {
  const auto in_schema = [](std::string expression) {
    for (size_t at = 0; (at = expression.find('\\', at)) != std::string::npos; at += 2) expression.insert(at, "\\");
    return fmt::format(R"({{"type": "string", "pattern": "^{}$"}})", expression);
  };
  const std::pair<const char*, const char*> refused[] = {{"[a&&b]", "character 2: put a backslash"},
                                                         {"[a-z--b]", "put a backslash"},
                                                         {"[a~~b]", "put a backslash"},
                                                         {"[a[bc]]", "'[' within a class at character 3"},
                                                         {"[[:alpha:]]", "'[' within a class"},
                                                         {"a*+b", "a repetition right after another at character 3"},
                                                         {"a{2}{3}", "a repetition right after another"},
                                                         {"(?x)a b", "the flag x at character 3"},
                                                         {"(?x:a b)", "the flag x"},
                                                         {"\\0", "\\0"},
                                                         {"\\cJ", "\\cJ"},
                                                         {"\\uD83D\\uDE00", "\\uD83D"},
                                                         {"\\Z", "\\Z"},
                                                         {"[\\b]", "[\\b]"},
                                                         {"a\\b", "a\\b"}};
  for (const auto& [expression, named] : refused) {
    EXPECT_THAT(refusal(expression, GrammarKind::kRegex), HasSubstr(named)) << expression;
    EXPECT_NE(refusal(in_schema(expression)), "") << expression;
  }
  EXPECT_THAT(refusal(in_schema("[a&&b]")), HasSubstr("pattern: '&&', '--' or '~~' within a class"));
  EXPECT_THAT(refusal(R"({"patternProperties": {"[a&&b]": {}}})"), HasSubstr("patternProperties: '&&'"));
  const auto matches = [](const char* expression, std::string_view text) {
    return writes(expression, text, GrammarKind::kRegex);
  };
  EXPECT_TRUE(matches("[a\\&\\&b]", "&"));
  EXPECT_TRUE(matches("(a{2}){3}", "aaaaaa"));
  EXPECT_TRUE(matches("(?i)[^\\W\\d]", "A"));
  EXPECT_TRUE(matches("[]a\\]]", "]"));
  EXPECT_TRUE(matches("(?P<start>[0-9]+)-(?P<stop>[0-9]+)-(?<stop_>.)", "12-34-5"))
      << "llguidance's name for where to stop";
  EXPECT_TRUE(writes(in_schema("(?<stop>b{2})c"), "\"bbc\""));
  for (const char* text : {"&", "[", "~", "-", "/", "+"})
    EXPECT_TRUE(writes("root ::= [+--a&&b~~[\\/]", text, GrammarKind::kLark)) << text;
}

TEST_F(GrammarTest, WordsAreThoseOfPython) {
  for (const char* expression : {R"(\w+)", R"([\w]+)", R"([^\W]+)"}) {
    EXPECT_TRUE(writes(expression, "a_1é世", GrammarKind::kRegex)) << expression;
    EXPECT_FALSE(writes(expression, "हिन्दी", GrammarKind::kRegex)) << expression;
  }
  EXPECT_TRUE(writes(R"(\W+)", "\u093f -", GrammarKind::kRegex));
  EXPECT_FALSE(writes(R"(\W)", "a", GrammarKind::kRegex));
}

TEST_F(GrammarTest, SpacesAreThoseOfPython) {
  for (const char* space : {" ", "\t", "\x1c", "\x1f", "\u0085", "\u00a0", "\u3000"}) {
    for (const char* expression : {R"(\s)", R"([\s])", R"([^\S])"})
      EXPECT_TRUE(writes(expression, space, GrammarKind::kRegex)) << expression;
    for (const char* expression : {R"(\S)", R"([\S])", R"([^\s])"})
      EXPECT_FALSE(writes(expression, space, GrammarKind::kRegex)) << expression;
  }
  EXPECT_TRUE(writes(R"(\S)", "\x1b", GrammarKind::kRegex));
}

TEST_F(GrammarTest, RulesOfGbnfKeepApart) {
  const char* grammar =
      "root::=Ab aB a-b \"|\" a_b\nAb::= \"1\"\naB ::=\n \"2\"\na-b::=\"3\"\na_b ::= \"4\"\n# root ::= \"5\"";
  EXPECT_TRUE(writes(grammar, "123|4", GrammarKind::kLark));
  EXPECT_FALSE(writes(grammar, "111|1", GrammarKind::kLark));
  EXPECT_TRUE(writes("root ::= Root\nRoot ::= \"a\"", "a", GrammarKind::kLark));
  EXPECT_TRUE(writes("start: \"root ::= \" /[a]/", "root ::= a", GrammarKind::kLark)) << "Lark";
}

}  // namespace
}  // namespace retort
