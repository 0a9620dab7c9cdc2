// JSON schemas are followed to the letter, as a reader in doubles understands them, or refused.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "grammar_fixture.h"

namespace retort {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// llguidance counts in doubles.
TEST_F(GrammarTest, ConstantsKeepTheirDigits) {
  for (const char* kept : {"9007199254740992", "-9007199254740992", "9007199254740994", "4611686018427387904", "0.1"})
    EXPECT_TRUE(writes(fmt::format(R"({{"const": {}}})", kept), kept)) << kept;
  EXPECT_TRUE(writes(R"({"const": 0.30000000000000004})", "0.30000000000000004"));
  for (const char* lost : {"9007199254740993", "-9007199254740993", "9223372036854775807", "18446744073709551615",
                           "-9223372036854775808", "1e300", "100000000000000000000000001"}) {
    EXPECT_THAT(refusal(fmt::format(R"({{"const": {}}})", lost)), HasSubstr("const: expected numbers from -2^53"));
    EXPECT_THAT(refusal(fmt::format(R"({{"properties": {{"a": {{"enum": [0, {{"b": {}}}]}}}}}})", lost)),
                HasSubstr("[grammar] properties.a.enum[1].b: expected numbers from -2^53"));
    EXPECT_THAT(refusal(fmt::format(R"(start: "a" %json {{"const": {}}})", lost), GrammarKind::kLark),
                HasSubstr("const: expected numbers from -2^53"));
  }
  EXPECT_THAT(refusal(R"({"const": 9007199254740993})"), HasSubstr("got 9007199254740993"));
  // No schemas: what is called const, and what is only shown.
  EXPECT_EQ(refusal(R"({"properties": {"const": {}}, "examples": [{"const": 9007199254740993}]})"), "");
}

TEST_F(GrammarTest, KeysThatAskForNothingAndCountsWrittenAsDoublesAreTaken) {
  EXPECT_EQ(refusal(R"({"type": "array", "uniqueItems": false, "minItems": 1.0, "maxItems": 2.0})"), "");
  EXPECT_EQ(refusal(R"({"type": "string", "minLength": 1.0, "maxLength": 3e0})"), "");
  EXPECT_NE(refusal(R"({"type": "array", "uniqueItems": true})"), "");
  EXPECT_NE(refusal(R"({"type": "string", "maxLength": 1.5})"), "");
}

// Written another way they would count as others, with the schema of those.
TEST_F(GrammarTest, KeysThatASchemaNamesHaveOneSpelling) {
  const std::string_view others = R"({"type": "object", "properties": {"a": {"const": 7}, "\u001f": {"const": 7}},
      "additionalProperties": {"type": "boolean"}})";
  EXPECT_TRUE(writes(others, R"({"a":7,"\u001f":7,"b":true,"b":false})"));
  EXPECT_FALSE(writes(others, R"({"a":7,"a":true})"));
  for (const char* key : {R"(\u0061)", R"(\u001F)", R"(\u001f)"})
    EXPECT_FALSE(writes(others, fmt::format(R"({{"{}":true}})", key))) << key;
  EXPECT_FALSE(writes(R"({"type": "object", "patternProperties": {"^a$": {"const": 7}}})", R"({"\u0061":true})"));
  EXPECT_FALSE(writes(R"({"required": ["a"]})", R"({"a":1,"\u0061":2})"));
  EXPECT_FALSE(writes(fmt::format("start: \"x\" %json {}", others), R"(x{"\u0061":true})", GrammarKind::kLark));
  EXPECT_FALSE(writes(R"({"type": "object", "properties": {"\n": {"const": 7}}, "patternProperties": {"^\\s$": {}},
                          "additionalProperties": false})",
                      R"({"\u000a":true})"));
  // Where there are no others, control characters are written as ever.
  EXPECT_TRUE(writes(R"({"type": "object", "properties": {"a": {"const": "\u001b"}}, "additionalProperties": false})",
                     R"({"a":"\u001b"})"));
  EXPECT_TRUE(writes(R"({"type": "object", "additionalProperties": {"const": "\u007f"}})", R"({"a":"\u007f"})"));
  EXPECT_THAT(refusal(R"({"properties": {"a": {"enum": ["b", ["\u001b"]]}}})"),
              HasSubstr("[grammar] properties.a.enum: expected no control character that only \\uXXXX writes"));
  for (const char* pattern : {R"(^a\\x01$)", R"(\\n[\\x01\\x02]?)", R"((bc|[\\x1b]))"}) {
    EXPECT_THAT(refusal(fmt::format(R"({{"properties": {{"a": {{"pattern": "{}"}}}}}})", pattern)),
                HasSubstr("properties.a.pattern: expected no control character"))
        << pattern;
    EXPECT_THAT(refusal(fmt::format(R"({{"patternProperties": {{"{}": {{}}}}}})", pattern)),
                HasSubstr("[grammar] patternProperties: expected no control character"))
        << pattern;
    EXPECT_EQ(refusal(fmt::format(R"({{"pattern": "{}"}})", pattern)), "") << pattern;
  }
  EXPECT_TRUE(writes(R"({"properties": {"a": {"pattern": "^a\\n[\\x00-\\x20]$"}}})", R"({"a":"a\n "})"));
  EXPECT_EQ(refusal(R"({"properties": {"\u001b": {"enum": ["\b\t\n\f\r\"\\ü"]}}})"), "");
}

// Classes of all control characters, or of all but the line feed, make derivre let both pass.
TEST_F(GrammarTest, QuotationMarkAndBackslashAreKeptOutByClassesWithoutThem) {
  for (const char* letters : {R"([^\"])", R"([^\"\n])", R"([\\x00-!])", R"([^\\x20-\\x7e])", R"((?:\\p{Cc}|[a-z]))"}) {
    const auto schema = fmt::format(R"({{"type": "string", "pattern": "^{}{{1,3}}$"}})", letters);
    EXPECT_FALSE(writes(schema, R"("\"")")) << schema;
    EXPECT_TRUE(writes(schema, R"("\r\t")")) << schema;
    EXPECT_EQ(writes(schema, R"("\n")"), letters != std::string_view(R"([^\"\n])")) << schema;
    const auto keys = fmt::format(R"({{"type": "object", "patternProperties": {{"^{}{{1,3}}$": {{"const": 1}}}},
                                      "additionalProperties": false}})",
                                  letters);
    EXPECT_FALSE(writes(keys, R"({"\"":1})")) << keys;
    EXPECT_TRUE(writes(keys, R"({"\r":1})")) << keys;
  }
  EXPECT_FALSE(writes(R"({"type": "string", "pattern": "^[^\\\\/:*?\"<>|]{1,20}$"})", R"("a\\")"));
  EXPECT_TRUE(writes(R"({"type": "string", "pattern": "^[^\\\\/:*?\"<>|]{1,20}$"})", R"("notes.txt")"));
  EXPECT_TRUE(writes(R"({"type": "string", "pattern": "^[^a]\\W.$"})", R"("\"\\\"")"));
  EXPECT_EQ(refusal(R"({"pattern": "a\\x00"})"), R"([grammar] pattern: NUL (\x00): not supported)");
}

// Pairs are counted as they are written; a reader keeps one with each key.
TEST_F(GrammarTest, NoMoreKeysAreAskedForThanAreSureToDiffer) {
  for (
      const char* kept :
      {R"({"minProperties": 1})", R"({"minProperties": 2, "required": ["a"]})",
       R"({"minProperties": 3, "required": ["a", "b", "a"]})",
       R"({"minProperties": 4, "properties": {"a": {}, "b": {}, "c": {}, "d": {}}, "required": ["a", "b", "c", "d"],
            "additionalProperties": false})",
       R"({"required": ["a", "b"], "allOf": [{"minProperties": 3}]})",
       R"({"minProperties": 3, "allOf": [{"required": ["a"]}, {"$ref": "#/$defs/b"}], "$defs": {"b": {"required": ["b"]}}})",
       R"({"minProperties": 3, "anyOf": [{"required": ["a", "b"]}, {"required": ["c", "d"]}, {"type": "null"}]})",
       R"({"anyOf": [{"type": "string", "minProperties": 5}, {"minProperties": 1}]})",
       R"({"minProperties": 2, "enum": [{"a": 1, "b": 2}]})",
       R"({"properties": {"minProperties": {"const": {"minProperties": 7}}}, "$defs": {"unused": {"minProperties": 2}}})"})
    EXPECT_EQ(refusal(kept), "") << kept;
  const std::string_view named = R"({"type": "object", "additionalProperties": false, "minProperties": 1,
      "properties": {"a": {"const": 1}, "b": {"const": 2}}})";
  EXPECT_TRUE(writes(named, R"({"b":2})"));
  EXPECT_FALSE(writes(named, "{}"));
  const std::string_view one_more =
      R"({"minProperties": 2, "type": "object", "required": ["a"], "additionalProperties": {"const": 1}})";
  EXPECT_TRUE(writes(one_more, R"({"a":1,"b":1})"));
  EXPECT_FALSE(writes(one_more, R"({"a":1,"a":1})"));
  EXPECT_FALSE(writes(one_more, R"({"a":1})"));

  const auto expected = [](std::string_view path, int most, int given) {
    return fmt::format(
        "[grammar] {}minProperties: expected at most {}, one more than the keys required (others may be "
        "written twice), got {}",
        path, most, given);
  };
  EXPECT_EQ(refusal(R"({"minProperties": 2.0})"), expected("", 1, 2));
  EXPECT_EQ(refusal(R"({"minProperties": 3, "patternProperties": {"^a$": {}}, "additionalProperties": false})"),
            expected("", 1, 3));
  EXPECT_EQ(refusal(R"({"minProperties": 4, "required": ["a", "b"], "properties": {"a": {}, "b": {}}})"),
            expected("", 3, 4));
  EXPECT_EQ(refusal(R"({"items": {"anyOf": [{}, {"properties": {"x": {"minProperties": 2}}, "required": ["a"]}]}})"),
            expected("items.anyOf[1].properties.x.", 1, 2));
  EXPECT_EQ(refusal(R"({"required": ["a"], "allOf": [{"minProperties": 3}]})"), expected("allOf[0].", 2, 3));
  EXPECT_EQ(refusal(R"({"minProperties": 3, "anyOf": [{"required": ["a", "b"]}, {}]})"), expected("", 1, 3));
  EXPECT_EQ(refusal(R"({"additionalProperties": {"$ref": "#/$defs/a"}, "$defs": {"a": {"minProperties": 2}}})"),
            expected("$defs.a.", 1, 2));
  EXPECT_EQ(refusal(R"({"properties": {"a": {"$ref": "#"}}, "type": "object", "minProperties": 2})"),
            expected("", 1, 2));
  EXPECT_THAT(refusal(R"(start: %json {"minProperties": 2})", GrammarKind::kLark),
              HasSubstr(expected("", 1, 2).substr(10)));
}

TEST_F(GrammarTest, BoundsAreNeverExceeded) {
  const auto integer = [](std::string_view bounds) { return fmt::format(R"({{"type": "integer", {}}})", bounds); };
  const auto number = [](std::string_view bounds) { return fmt::format(R"({{"type": "number", {}}})", bounds); };
  const std::string odd = R"("minimum": 9007199254740993, "maximum": 9007199254740997)";
  for (const auto& schema : {integer(odd), number(odd)}) {
    EXPECT_FALSE(writes(schema, "9007199254740992"));
    EXPECT_TRUE(writes(schema, "9007199254740995"));
    EXPECT_TRUE(writes(schema, "9007199254740996"));
    EXPECT_FALSE(writes(schema, "9007199254740998"));
  }
  EXPECT_FALSE(
      writes(integer(R"("minimum": 9007199254740990, "exclusiveMaximum": 9007199254740996)"), "9007199254740996"));
  EXPECT_FALSE(writes(integer(R"("minimum": 9007199254740990, "maximum": 9007199254740996, "exclusiveMaximum": true)"),
                      "9007199254740996"));
  EXPECT_FALSE(
      writes(integer(R"("exclusiveMinimum": 9007199254740992, "maximum": 9007199254740998)"), "9007199254740992"));
  const std::string int64 = R"("minimum": -9223372036854775808, "maximum": 9223372036854775807)";
  for (const auto& schema :
       {integer(int64), number(int64), integer(R"("minimum": -1, "maximum": 18446744073709551615)"),
        number(R"("minimum": -1, "maximum": 1e300)")}) {
    EXPECT_TRUE(writes(schema, "9223372036854774784")) << schema;
    EXPECT_FALSE(writes(schema, "9223372036854775808")) << schema;
    EXPECT_TRUE(writes(schema, "-1")) << schema;
  }
  EXPECT_FALSE(writes(number(R"("minimum": 1, "maximum": 9223372036854774784)"), "9223372036854775000"))
      << "as llguidance writes this double";
  EXPECT_THAT(refusal(integer(R"("minimum": 9007199254740993, "maximum": 9007199254740993)")),
              HasSubstr("expected bounds with an integer that a double holds between them"));
  for (const char* outside : {R"("maximum": -9223372036854775808)", R"("minimum": 9223372036854775808)",
                              R"("minimum": -1e300, "maximum": -1e300)"})
    EXPECT_THAT(refusal(integer(outside)), HasSubstr("imum: expected a bound from -2^63 to 2^63")) << outside;
}

TEST_F(GrammarTest, MultiplesAreNeverWrapped) {
  EXPECT_THAT(refusal(R"({"allOf": [{"type": "integer", "multipleOf": 65537}, {"multipleOf": 65539}]})"),
              HasSubstr("within 32 bits"));
}

TEST_F(GrammarTest, ReferencesAreJsonPointers) {
  for (const char* reference : {"a~1b", "a%7E1b", "a~1b/properties/c~1~0d", "e%20f", "g~0h", "i%25j", "k l"}) {
    const auto schema = fmt::format(
        R"({{"type": "array", "items": {{"$ref": "#/$defs/{}"}}, "$defs": {{"e f": {{"const": 7}}, "g~h": {{"const": 7}},
            "i%j": {{"const": 7}}, "k l": {{"const": 7}},
            "a/b": {{"type": ["object", "integer"], "maximum": 9, "properties": {{"c/~d": {{"const": 7}}}}}}}}}})",
        reference);
    EXPECT_TRUE(writes(schema, "[7]")) << reference;
    EXPECT_FALSE(writes(schema, "[10]")) << reference;
    EXPECT_FALSE(writes(schema, "[\"a\"]")) << reference;
  }
  // One in itself, and one in another.
  const std::string_view tree =
      R"({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "object", "additionalProperties": false,
      "properties": {"c/d": {"enum": [7]}, "e": {"$ref": "#/$defs/a~1b"}, "f": {"$ref": "#/$defs/a~1b/properties/c~1d"}}}}})";
  EXPECT_TRUE(writes(tree, R"({"c/d":7,"e":{"e":{},"f":7}})"));
  EXPECT_FALSE(writes(tree, R"({"c/d":8})"));
  EXPECT_FALSE(writes(tree, R"({"f":8})"));
  EXPECT_TRUE(writes(R"({"const": {"$ref": "#/$defs/a%20b"}, "$defs": {"a b": {}}})", R"({"$ref":"#/$defs/a%20b"})"))
      << "what is no schema stays as it is";
  EXPECT_THAT(refusal(R"({"$ref": "#/$defs/a~1c", "$defs": {"a/b": {}}})"), HasSubstr("'#/$defs/a~1c'"));
}

TEST_F(GrammarTest, ReferencesThatLeadToNothingAreNamed) {
  const auto with = [](std::string_view schema) {
    return refusal(
        fmt::format(R"({{"type": "object", "properties": {{"x": {}}}, "$defs": {{"a": {{"$ref": "#/$defs/b"}},
        "b": {{"$ref": "#/$defs/a"}}, "c": {{"type": "object", "properties": {{"d": {{"$ref": "#/$defs/c"}}}}}},
        "e": {{"anyOf": [{{"$ref": "#/$defs/e"}}, {{"const": 1}}]}}}}}})",
                    schema));
  };
  EXPECT_THAT(refusal(R"({"$ref": "#"})"), HasSubstr("$ref: expected one that does not lead back to itself, got '#'"));
  EXPECT_THAT(with(R"({"$ref": "#/$defs/a"})"), HasSubstr("lead back to itself, got '#/$defs/"));
  EXPECT_THAT(with(R"({"anyOf": [{"$ref": "#/$defs/a"}]})"), HasSubstr("lead back to itself"));
  EXPECT_EQ(with(R"({"$ref": "#/$defs/c"})"), "");
  EXPECT_EQ(with(R"({"$ref": "#/$defs/e"})"), "");
  EXPECT_EQ(with(R"({"$ref": "#"})"), "");
}

TEST_F(GrammarTest, ReferencesThatBranchAreFollowedOnce) {
  std::string definitions;
  for (int i = 0; i < 60; ++i)
    definitions +=
        fmt::format(R"("a{0}": {{"anyOf": [{{"$ref": "#/$defs/a{1}"}}, {{"$ref": "#/$defs/a{1}"}}]}}, )", i, i + 1);
  const auto schema = [&](const char* last) {
    return fmt::format(R"({{"$defs": {{{}"a60": {}}}, "$ref": "#/$defs/a0"}})", definitions, last);
  };
  EXPECT_THAT(refusal(schema(R"({"$ref": "#/$defs/a0"})")), HasSubstr("does not lead back to itself"));
  EXPECT_THAT(refusal(schema(R"({"type": "integer"})")), Not(HasSubstr("lead back")));
}

}  // namespace
}  // namespace retort
