// A mask says of every token what accepting it says, and numbers come to an end.
#include "text/grammar.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "test_vocabularies.h"

namespace retort {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

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

TEST_F(GrammarTest, RulesOfGbnfKeepApart) {
  const char* grammar =
      "root::=Ab aB a-b \"|\" a_b\nAb::= \"1\"\naB ::=\n \"2\"\na-b::=\"3\"\na_b ::= \"4\"\n# root ::= \"5\"";
  EXPECT_TRUE(writes(grammar, "123|4", GrammarKind::kLark));
  EXPECT_FALSE(writes(grammar, "111|1", GrammarKind::kLark));
  EXPECT_TRUE(writes("root ::= Root\nRoot ::= \"a\"", "a", GrammarKind::kLark));
  EXPECT_TRUE(writes("start: \"root ::= \" /[a]/", "root ::= a", GrammarKind::kLark)) << "Lark";
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

TEST_F(GrammarTest, RulesMayFollowEachOtherFar) {
  std::string grammar = "start: r0\n";
  for (int i = 0; i < 15000; ++i) grammar += fmt::format("r{}: r{}\n", i, i + 1);
  grammar += "r15000: \"a\"\n";
  EXPECT_TRUE(writes(grammar, "a", GrammarKind::kLark));
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

TEST_F(GrammarTest, ConstantsAreShort) {
  EXPECT_THAT(refusal(fmt::format(R"({{"const": "{}"}})", std::string(9000, 'a'))), HasSubstr("at most 8192 bytes"));
  EXPECT_THAT(refusal(fmt::format(R"(["{}"])", std::string(9000, 'a')), GrammarKind::kChoice),
              HasSubstr("at most 8192 bytes"));
}

TEST_F(GrammarTest, MultiplesAreNeverWrapped) {
  EXPECT_THAT(refusal(R"({"allOf": [{"type": "integer", "multipleOf": 65537}, {"multipleOf": 65539}]})"),
              HasSubstr("within 32 bits"));
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

// They share the watch over how long each takes.
TEST_F(GrammarTest, MatchersOfOneVocabularyMoveInThreads) {
  const Vocabulary& qwen = vocabulary("qwen2");
  GrammarMatcher matcher = qwen.after(GrammarKind::kJsonSchema, R"({"type": "integer"})", "1");
  const auto expected = qwen.mask(matcher);
  const auto move = [&](GrammarMatcher mine) {
    for (int i = 0; i < 50; ++i) {
      auto copy = *mine.clone();
      EXPECT_EQ(qwen.mask(copy), expected);
      EXPECT_TRUE(copy.take_forced());
    }
  };
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(move, *matcher.clone());
}

// Of a user who may have no further process; one who may have many has a thread that keeps watch, and makes another for
// each grammar.
[[noreturn]] void compile_without_threads(const Grammars& grammars) {
  ::alarm(60);
  if (::getuid() == 0 && ::setuid(65534) != 0) std::_Exit(2);  // root is not bound by the limit
  rlimit before{};
  ::getrlimit(RLIMIT_NPROC, &before);
  const rlimit none{.rlim_cur = 1, .rlim_max = before.rlim_max};
  const auto compile = [&](const rlimit& limit) {
    ::setrlimit(RLIMIT_NPROC, &limit);
    const auto matcher = grammars.compile(GrammarKind::kRegex, "[0-9]+");
    fmt::print(stderr, "{}\n", matcher ? "compiled" : matcher.error().message);
  };
  compile(none);
  compile(before);
  compile(none);
  std::_Exit(0);
}

TEST(GrammarDeathTest, AThreadThatCannotStartIsAnErrorWithItsRemedy) {
  const Vocabulary fresh{*load_gguf_tokenizer(vocabulary_path("qwen2"))};
  const std::string refused = "a thread could not be started: [^\n]*ulimit -u[^\n]*\n";
  EXPECT_EXIT(compile_without_threads(fresh.grammars), ::testing::ExitedWithCode(0),
              refused + "compiled\n.*" + refused);
}

}  // namespace
}  // namespace retort
