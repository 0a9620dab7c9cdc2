#include "formats/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace retort {
namespace {

using nlohmann::json;
using ::testing::StartsWith;

constexpr JsonLimits kLimits = {.max_bytes = 1 << 20, .max_depth = 4};

std::string message_of(std::string_view text, const JsonLimits& limits = kLimits) {
  const auto value = parse_json_object(text, limits, "here");
  return value ? value->dump() : value.error().message;
}

TEST(Json, BuildsWhatNlohmannBuilds) {
  for (const char* text : {
           R"({})",
           R"({"a":[],"b":{},"c":[[1,2],[3]],"d":{"e":[{}]},"g":"x"})",
           R"({"i":-7,"u":18446744073709551615,"f":1.5,"t":true,"n":null,"s":"Gr\u00fc\u00dfe \ud83d\ude00"})",
           R"({"a":[{"b":1},{"c":[2]},"d"],"e":{"f":2},"g":[[],{}]})",
       }) {
    const auto value = parse_json_object(text, kLimits, "here");
    ASSERT_TRUE(value) << value.error().message;
    EXPECT_EQ(*value, json::parse(text));
  }
}

TEST(Json, SaysWhereItIsWrong) {
  constexpr const char* kStart = "here: expected JSON, file holds no JSON: parse error at line 1, column ";
  EXPECT_THAT(message_of("{\"a\":1,}"), StartsWith(std::string(kStart) + "8: "));
  EXPECT_THAT(message_of(""), StartsWith(std::string(kStart) + "1: "));
  EXPECT_THAT(message_of("{} {}"), StartsWith(std::string(kStart) + "4: "));
  EXPECT_THAT(message_of("{\"a\":\"\xff\"}"), StartsWith(std::string(kStart) + "7: "));
  EXPECT_EQ(message_of("{\"a\":1e999}"), "here: expected JSON, file holds no JSON: number overflow parsing '1e999'");
  EXPECT_EQ(message_of("[1]"), "here: expected a JSON object, file holds array");
  EXPECT_EQ(message_of("7"), "here: expected a JSON object, file holds number");
}

TEST(Json, HoldsToItsLimits) {
  EXPECT_EQ(message_of("{}", {.max_bytes = 1, .max_depth = 4}), "here: 2 bytes of JSON, the limit is 1");
  EXPECT_EQ(message_of(R"({"a":[[[1]]]})"), R"({"a":[[[1]]]})");
  EXPECT_EQ(message_of(R"({"a":[[[[1]]]]})"), "here: expected JSON, file holds nesting deeper than the limit of 4");
  EXPECT_THAT(message_of("{\"a\":" + std::string(1 << 19, '[')), ::testing::HasSubstr("nesting deeper"));
}

TEST(Json, DuplicateKeysAreRefusedWhereAsked) {
  EXPECT_EQ(message_of(R"({"a":1,"a":[2]})"), R"({"a":[2]})");
  constexpr JsonLimits kStrict = {.max_bytes = 1 << 20, .max_depth = 4, .refuse_duplicate_keys = true};
  EXPECT_EQ(message_of(R"({"b":{"a":1,"a":2}})", kStrict), "here: expected JSON, file holds key a twice");
  EXPECT_EQ(message_of(R"({"a":{"a":1},"b":{"a":2}})", kStrict), R"({"a":{"a":1},"b":{"a":2}})");
}

}  // namespace
}  // namespace retort
