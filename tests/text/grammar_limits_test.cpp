// What would take too much work, memory or stack is refused; what only looks like it is taken.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grammar_fixture.h"

namespace retort {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

// The compiler goes down every chain of references on the stack.
TEST_F(GrammarTest, ReferencesGoSoDeep) {
  const auto chain = [](std::string_view link, int length) {
    std::string schema = R"({"$ref": "#/$defs/0", "$defs": {)";
    for (int i = 0; i < length; ++i)
      schema += fmt::format(R"("{}": {}, )", i, fmt::format(fmt::runtime(link), fmt::format("#/$defs/{}", i + 1)));
    return fmt::format(R"({}"{}": {{"enum": [7]}}}}}})", schema, length);
  };
  for (const char* link :
       {R"({{"$ref": "{}"}})", R"({{"items": {{"$ref": "{}"}}}})", R"({{"properties": {{"a": {{"$ref": "{}"}}}}}})",
        R"({{"allOf": [{{"type": "object", "patternProperties": {{"a": {{"$ref": "{}"}}}}}}]}})"}) {
    EXPECT_EQ(refusal(chain(link, 190)), "") << link;
    EXPECT_THAT(refusal(chain(link, 2000)), HasSubstr("expected at most 600 schemas inside each other and behind $ref"))
        << link;
  }
}

// llguidance writes what must come ahead, however long it is.
TEST_F(GrammarTest, TextsThatMustBeLongAreRefused) {
  for (const char* expression : {"a{1000000000}", "((a{1000}){1000}){1000}x?", "b+(ab){99999}"}) {
    EXPECT_THAT(refusal(expression, GrammarKind::kRegex), HasSubstr("of at most 8192 bytes")) << expression;
    EXPECT_THAT(refusal(fmt::format(R"({{"type": "string", "pattern": "{}"}})", expression)),
                HasSubstr("pattern: expected to match some text of at most 8192 bytes"));
  }
  EXPECT_THAT(refusal(R"({"items": {"type": "string", "minLength": 1000000000, "pattern": "^a*$"}})"),
              HasSubstr("items.minLength: expected at most 8192, got 1000000000"));
  EXPECT_EQ(refusal("a{0,1000000000}b{1000}", GrammarKind::kRegex), "");
}

// Of the compiler, or of the first steps of an answer; empty where there was none.
std::string first_error(const Vocabulary& vocabulary, GrammarKind kind, const std::string& text) {
  auto matcher = vocabulary.grammars.compile(kind, text);
  if (!matcher) return matcher.error().message;
  std::vector<uint32_t> words((static_cast<size_t>(vocabulary.tokenizer.vocab_size()) + 31) / 32);
  for (int step = 0; step < 3; ++step) {
    if (const auto forced = matcher->take_forced(); !forced) return forced.error().message;
    if (const Status status = matcher->mask(words); !status) return status.error().message;
  }
  return "";
}

TEST_F(GrammarTest, WhatMayComeNextIsWorkedOutWithinBounds) {
  std::string primes, patterns, many = "start: A\nA: ";
  for (const int prime : {2, 3, 5, 7, 11, 13, 17, 19}) {
    primes += fmt::format("{}/x({})*y/", primes.empty() ? "start: A\nA: " : " & ", std::string(prime, 'a'));
    patterns += fmt::format(R"({}{{"type": "string", "pattern": "^x({})*$"}})", patterns.empty() ? "" : ", ",
                            std::string(prime, 'a'));
  }
  for (int i = 0; i < 10000; ++i) many += R"("a"+ )";
  const std::pair<GrammarKind, std::string> cases[] = {
      {GrammarKind::kLark, "start: x{1000}\nx: /a{100000}/"},
      {GrammarKind::kLark, "start: /a{1000000000}/"},
      {GrammarKind::kLark, many},
      {GrammarKind::kLark, primes},
      {GrammarKind::kJsonSchema, fmt::format(R"({{"allOf": [{}]}})", patterns)},
  };
  for (const auto& [kind, text] : cases)
    EXPECT_THAT(first_error(vocabulary("qwen2"), kind, text),
                AnyOf(HasSubstr("takes too much work"), HasSubstr("takes more than two")))
        << text.substr(0, 60);
  EXPECT_EQ(first_error(vocabulary("qwen2"), GrammarKind::kJsonSchema,
                        fmt::format(R"({{"const": "{}"}})", std::string(8000, 'a'))),
            "");
}

// What the compiler would do at once, with memory that grows with the square of the length or faster.
TEST_F(GrammarTest, ExpressionsThatBranchTooOftenAreRefused) {
  const auto times = [](int count, std::string_view part) {
    std::string text;
    for (int i = 0; i < count; ++i) text += part;
    return text;
  };
  const auto terminal = [&](int count, std::string_view part) { return "start: A\nA: " + times(count, part); };
  for (const char* part : {R"("a"? )", R"("a"* )", R"(("a" | "b")? )", "/[a-z]?/ ", R"(["a"] )", R"("a"{0,5} )"}) {
    EXPECT_THAT(refusal(terminal(10000, part), GrammarKind::kLark),
                HasSubstr("[grammar] expected fewer parts in a row"))
        << part;
    EXPECT_EQ(refusal(terminal(500, part), GrammarKind::kLark), "") << part;
  }
  EXPECT_THAT(refusal(times(8000, "a?"), GrammarKind::kRegex), HasSubstr("expected fewer parts in a row"));
  EXPECT_THAT(refusal(fmt::format(R"({{"type": "string", "pattern": "^{}$"}})", times(7000, "a*"))),
              HasSubstr("expected fewer parts in a row"));
  const auto conjunction = [&](int count) { return terminal(count, "/.*a.*/ & ") + "/.*b.*/"; };
  EXPECT_EQ(refusal(conjunction(3), GrammarKind::kLark), "");
  EXPECT_THAT(refusal("start: A\nA: /.*a.*/ & /.*b.*/ & /.*c.*/ & /.*d.*/ & /.*e.*/ & /.*f.*/ & /.*g.*/ & /.*h.*/",
                      GrammarKind::kLark),
              HasSubstr("that must all match at once"));
}

TEST_F(GrammarTest, TerminalsWithinTerminalsCountAsOftenAsTheyAreNamed) {
  const auto nested = [](int levels, std::string_view last) {
    std::string grammar = "start: A0\n";
    for (int i = 0; i < levels; ++i) grammar += fmt::format("A{}: A{} A{}\n", i, i + 1, i + 1);
    return fmt::format("{}A{}: {}\n", grammar, levels, last);
  };
  EXPECT_EQ(refusal(nested(12, R"("ab")"), GrammarKind::kLark), "");
  EXPECT_THAT(refusal(nested(20, R"("ab")"), GrammarKind::kLark), HasSubstr("A0: expected at most 300000 parts"));
  EXPECT_THAT(refusal("start: ~(A0 A0)\n" + nested(18, R"("ab")").substr(10), GrammarKind::kLark),
              HasSubstr("a rule: expected at most 300000 parts"));
  // A rule refers to what it names, and what only looks like names is none.
  std::string words = "A: \"w\"", rule = "start: \"x\"";
  for (int i = 0; i < 4000; ++i) words += fmt::format(" | \"A A {}\"", i);
  for (int i = 0; i < 400; ++i) rule += " | A \"y\"";
  EXPECT_EQ(refusal(rule + " | %json {\"enum\": [\"A\"]} // A A\n" + words, GrammarKind::kLark), "");
}

TEST_F(GrammarTest, RulesMayFollowEachOtherFar) {
  std::string grammar = "start: r0\n";
  for (int i = 0; i < 15000; ++i) grammar += fmt::format("r{}: r{}\n", i, i + 1);
  grammar += "r15000: \"a\"\n";
  EXPECT_TRUE(writes(grammar, "a", GrammarKind::kLark));
}

TEST_F(GrammarTest, ConstantsAreShort) {
  EXPECT_THAT(refusal(fmt::format(R"({{"const": "{}"}})", std::string(9000, 'a'))), HasSubstr("at most 8192 bytes"));
  EXPECT_THAT(refusal(fmt::format(R"(["{}"])", std::string(9000, 'a')), GrammarKind::kChoice),
              HasSubstr("at most 8192 bytes"));
}

// Whether a text fits is looked for through one state a remainder; memory grew by it without a bound.
TEST_F(GrammarTest, MultiplesAreNotLookedForWithoutABound) {
  const auto schema = [](int largest, int count) {
    std::string properties;
    for (int i = 0; i < count; ++i)
      properties +=
          fmt::format(R"({}"k{}": {{"type": "integer", "multipleOf": {}}})", i == 0 ? "" : ", ", i, largest - 2 * i);
    return fmt::format(R"({{"type": "object", "properties": {{{}}}}})", properties);
  };
  EXPECT_THAT(refusal(schema(499979, 300)), HasSubstr("fewer expressions or multiples"));
  EXPECT_EQ(refusal(schema(1001, 50)), "");
  EXPECT_EQ(refusal(schema(10001, 1)), "");
}

}  // namespace
}  // namespace retort
