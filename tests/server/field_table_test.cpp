#include "server/fields/field_table.h"

#include <gtest/gtest.h>

#include "server/fields/json_input.h"

namespace retort {
namespace {

struct Soup {
  std::optional<float> temperature;
  int salt = 0;
  bool hot = false;
  std::string name;
  std::vector<int32_t> ids;
};

const FieldTable<Soup>& soup_table() {
  static const FieldTable<Soup> table({
      number_field("temperature", &Soup::temperature, {0, 2}, 0.5, "How hot."),
      number_field("nucleus", &Soup::temperature, {0, 1, true}, nullptr, ""),
      int_field("salt", &Soup::salt, {-1, 10}, 0, "Grains."),
      int_field("seed", &Soup::salt, {}, nullptr, ""),
      bool_field("hot", &Soup::hot, false, ""),
      string_field("name", &Soup::name, ""),
      token_ids_field("ids", &Soup::ids, ""),
      ignored_field<Soup>("user", "Whoever."),
      refused_field<Soup>("tools", {Json::array()}),
  });
  return table;
}

std::string error_of(const char* body) {
  Soup soup;
  const ApiStatus status = soup_table().apply(Json::parse(body), soup);
  return status ? "" : status.error().message;
}

TEST(FieldTable, AppliesEveryKind) {
  Soup soup;
  const Json body = Json::parse(
      R"({"temperature": 1.5, "salt": 3.0, "hot": true, "name": "miso", "ids": [1, 2], "user": {"any": 1}, "tools": []})");
  ASSERT_TRUE(soup_table().apply(body, soup));
  EXPECT_EQ(soup.temperature, 1.5f);
  EXPECT_EQ(soup.salt, 3);
  EXPECT_TRUE(soup.hot);
  EXPECT_EQ(soup.name, "miso");
  EXPECT_EQ(soup.ids, (std::vector<int32_t>{1, 2}));
}

TEST(FieldTable, TakesNullForNotGiven) {
  Soup soup;
  ASSERT_TRUE(soup_table().apply(Json::parse(R"({"temperature": null, "tools": null, "unheard_of": null})"), soup));
  EXPECT_FALSE(soup.temperature);
}

TEST(FieldTable, KeepsWhatIsAboveZeroAboveZero) {
  Soup soup;
  ASSERT_TRUE(soup_table().apply(Json::parse(R"({"nucleus": 1e-300})"), soup));
  EXPECT_GT(soup.temperature, 0.0f) << "no float is so small";
}

TEST(FieldTable, TakesWholeFloatsForTokenIds) {
  Soup soup;
  ASSERT_TRUE(soup_table().apply(Json::parse(R"({"ids": [3.0]})"), soup)) << "JSON Schema calls it an integer";
  EXPECT_EQ(soup.ids, std::vector<int32_t>{3});
}

TEST(Schema, MayBeNull) {
  EXPECT_EQ(or_null(type_schema("string")), Json::parse(R"({"type": ["string", "null"]})"));
  EXPECT_EQ(or_null(Json::parse(R"({"const": 1})")), Json::parse(R"({"enum": [1, null]})"));
  EXPECT_EQ(or_null(words_schema({"a", "b"})), Json::parse(R"({"enum": ["a", "b", null]})"));
  EXPECT_EQ(or_null(any_of({text_schema()})), Json::parse(R"({"anyOf": [{"type": "string"}, {"type": "null"}]})"));
  EXPECT_EQ(or_null(Json::object()), Json::object()) << "anything, so null as well";
}

TEST(FieldTable, SaysWhatItExpected) {
  EXPECT_EQ(error_of(R"({"temperature": "hot"})"), R"(temperature: expected a number from 0 to 2, got "hot")");
  EXPECT_EQ(error_of(R"({"temperature": 2.1})"), "temperature: expected a number from 0 to 2, got 2.1");
  EXPECT_EQ(error_of(R"({"nucleus": 0})"), "nucleus: expected a number above 0 and at most 1, got 0");
  EXPECT_EQ(error_of(R"({"salt": 1.5})"), "salt: expected an integer from -1 to 10, got 1.5");
  EXPECT_EQ(error_of(R"({"salt": 11})"), "salt: expected an integer from -1 to 10, got 11");
  EXPECT_EQ(error_of(R"({"seed": 18446744073709551615})"),
            "seed: expected an integer from -9223372036854775808 to 9223372036854775807, got 18446744073709551615");
  EXPECT_EQ(error_of(R"({"hot": 1})"), "hot: expected true or false, got 1");
  EXPECT_EQ(error_of(R"({"name": ["x"]})"), R"(name: expected a string, got ["x"])");
  EXPECT_EQ(error_of(R"({"ids": [1, -2]})"), "ids[1]: expected a token id, got -2");
  EXPECT_EQ(error_of("[]"), "the body: expected an object, got []");
  EXPECT_EQ(expected_body("an object", 5).value().param, "") << "it is no field";
}

TEST(FieldTable, CutsLongQuotesBetweenCharacters) {
  const std::string long_text(200, 'x');
  const std::string message = error_of(("{\"temperature\": \"" + long_text + "\"}").c_str());
  EXPECT_LT(message.size(), 130u);
  EXPECT_TRUE(message.ends_with("…"));
  std::string umlauts;
  for (int i = 0; i < 100; ++i) umlauts += "ä";
  const std::string cut = error_of(("{\"temperature\": \"" + umlauts + "\"}").c_str());
  EXPECT_NE(dump_json(Json(cut)).find("ä…"), std::string::npos);
}

TEST(FieldTable, NamesUnknownFieldsAndWhatWasMeant) {
  EXPECT_EQ(error_of(R"({"temprature": 1})"), "unknown field 'temprature' (did you mean 'temperature'?)");
  EXPECT_EQ(error_of(R"({"slat": 1})"), "unknown field 'slat'");
  EXPECT_EQ(error_of(R"({"Salt": 1})"), "unknown field 'Salt' (did you mean 'salt'?)");
  EXPECT_EQ(error_of(R"({"xyzzy": 1})"), "unknown field 'xyzzy'");
  EXPECT_EQ(error_of(R"({"": 1})"), "unknown field ''");
}

TEST(FieldTable, RefusesByNameWhatItDoesNotHonour) {
  EXPECT_EQ(error_of(R"({"tools": [{}]})"), "tools: not supported yet");
}

TEST(FieldTable, TellsTheParamAndTheCode) {
  Soup soup;
  const ApiStatus status = soup_table().apply(Json::parse(R"({"slt": 1})"), soup, "soup[2].");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().status, 400);
  EXPECT_EQ(status.error().message, "soup[2]: unknown field 'slt' (did you mean 'salt'?)");
  EXPECT_EQ(status.error().param, "soup[2].slt");
  EXPECT_EQ(status.error().code, "unknown_parameter");
  const ApiStatus wrong = soup_table().apply(Json::parse(R"({"salt": "x"})"), soup, "soup[2].");
  EXPECT_EQ(wrong.error().param, "soup[2].salt");
  EXPECT_EQ(wrong.error().message, R"(soup[2].salt: expected an integer from -1 to 10, got "x")");
}

TEST(FieldTable, IsAJsonSchemaOfWhatItTakes) {
  const Json schema = soup_table().schema();
  EXPECT_EQ(schema["properties"]["temperature"], Json::parse(R"({
    "type": ["number", "null"], "description": "How hot.", "minimum": 0.0, "maximum": 2.0, "default": 0.5})"));
  EXPECT_EQ(schema["properties"]["tools"]["enum"], Json::parse("[[], null]")) << "what may be said of it";
  EXPECT_FALSE(schema["properties"]["user"].contains("type")) << "anything";
  EXPECT_EQ(schema["additionalProperties"], Json::parse(R"({"type": "null"})")) << "which is not given";
}

TEST(JsonInput, ReadsWhatIsJson) {
  const auto json = parse_json(R"({"a": "}]\"\\", "b": [1, {}]})");
  ASSERT_TRUE(json);
  EXPECT_EQ((*json)["a"], "}]\"\\");
}

TEST(JsonInput, SaysWhereItIsNot) {
  const auto json = parse_json("{\"a\": 1,}");
  ASSERT_FALSE(json);
  EXPECT_EQ(json.error().status, 400);
  EXPECT_TRUE(json.error().message.starts_with("the body is not valid JSON: parse error at line 1, column 9"))
      << json.error().message;
  EXPECT_FALSE(parse_json(""));
  EXPECT_FALSE(parse_json("\"\xff\""));
  EXPECT_FALSE(parse_json("\"\\ud800\""));
  EXPECT_FALSE(parse_json("1e999"));
}

TEST(JsonInput, NamesAFieldGivenTwice) {
  const JsonInputLimits limits{.refuses_repeated_keys = true};
  const std::pair<const char*, const char*> twice[] = {
      {R"({"a": 1, "b": {"a": [1, 2]}, "a": 1, "c": "}{,"})", "a"},
      {R"({"a": {"b": 1, "b": 2}, "c": [1, 2]})", "a.b"},
      {R"({"a": {"b": {"c": [1, 2, 3]}, "b": {}}})", "a.b"},
      {R"({"a": [[], {}, 3, {"b c": {"d": {}, "e": [{}], "d": 1}}]})", "a[3].b c.d"},
      {R"([{"a": 1, "b": 2}, {"a": 1, "\u0061": 1}])", "[1].a"},
      {R"({"a": {"b": 1, "b": 1}, "a": {"c": 1}})", "a.b"}};
  for (const auto& [text, path] : twice) {
    const auto refused = parse_json(text, limits);
    ASSERT_FALSE(refused) << text;
    EXPECT_EQ(refused.error().message, std::string(path) + ": given twice in the body");
    EXPECT_EQ(refused.error().param, path);
  }
  const auto nameless = parse_json(R"({"a": {"": 1, "": 2}})", {.refuses_repeated_keys = true});
  ASSERT_FALSE(nameless);
  EXPECT_EQ(nameless.error().message, R"(a."": given twice in the body)");
  for (const auto* once :
       {"{}", "[]", R"({"a": 1})", R"({"a": {"b": 1}, "b": {"b": [{}, [], {"b": [[]]}]}, "c": [1, 2]})",
        R"([{"a": 1}, {"a": 1}])", "3"})
    EXPECT_TRUE(parse_json(once, limits)) << once;
  EXPECT_EQ((*parse_json(R"({"a": 1, "a": 2})"))["a"], 2) << "what a model wrote";
}

TEST(JsonInput, LimitsDepth) {
  EXPECT_TRUE(parse_json(std::string(100, '[') + std::string(100, ']')));
  const auto deep = parse_json(std::string(101, '[') + std::string(101, ']'));
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().message, "the JSON body is nested deeper than 100 levels");
  EXPECT_TRUE(parse_json("\"" + std::string(1000, '[') + "\"")) << "brackets within a string are text";
  EXPECT_FALSE(parse_json(std::string(1'000'000, '[')));
}

TEST(JsonInput, LimitsValuesAndKeys) {
  EXPECT_FALSE(parse_json("[1,1,1,1]", {.max_values = 4}));
  EXPECT_TRUE(parse_json("[1,1,1]", {.max_values = 4}));
  std::string many = "{";
  for (int i = 0; i < 5000; ++i) many += (i > 0 ? "," : "") + ("\"" + std::to_string(i)) + "\":1";
  const auto refused = parse_json(many + "}");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "the JSON body has objects with too many keys: one alone may have 4472, of several the squares of their "
            "numbers of keys may add up to 20000000");
  EXPECT_EQ(parse_json(many).error().message, refused.error().message) << "never closed";
}

TEST(JsonInput, WritesValidUtf8) { EXPECT_EQ(dump_json(Json("a\xff")), "\"a\xEF\xBF\xBD\""); }

}  // namespace
}  // namespace retort
