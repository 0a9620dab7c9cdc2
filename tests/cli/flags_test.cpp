#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "cli/config_file.h"
#include "cli/measure/bandwidth.h"
#include "cli/measure/statistics.h"
#include "cli/model_flags.h"

namespace retort {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Memory, BytesUnitsAndShares) {
  const auto parse = [](const char* text) { return parse_memory("--kv-cache-memory", text, 1000).value_or(0); };
  EXPECT_EQ(parse("12345"), 12345u);
  EXPECT_EQ(parse("2G"), 2ull << 30);
  EXPECT_EQ(parse("1.5GiB"), 3ull << 29);
  EXPECT_EQ(parse("2GB"), 2'000'000'000u);
  EXPECT_EQ(parse("512M"), 512ull << 20);
  EXPECT_EQ(parse("50%"), 500u);
  for (const auto* text : {"", "G", "-1G", "1X", "101%", "nan", "inf", "1e30G", "50 %", "0", "0.5", "0G", "0%"})
    EXPECT_FALSE(parse_memory("--kv-cache-memory", text, 1000)) << text;
  EXPECT_THAT(parse_memory("--kv-cache-memory", "lots", 1000).error().message, HasSubstr("--kv-cache-memory"));
}

TEST(TokenCount, AsVllmReadsThem) {
  const auto parse = [](const char* text) { return parse_token_count("--max-model-len", text).value_or(0); };
  EXPECT_EQ(parse("4096"), 4096);
  EXPECT_EQ(parse("32k"), 32000);
  EXPECT_EQ(parse("32K"), 32768);
  EXPECT_EQ(parse("1.5k"), 1500);
  for (const auto* text : {"", "0", "-5", "1.5", "32kk", "1e12", "tokens"})
    EXPECT_FALSE(parse_token_count("--max-model-len", text)) << text;
}

TEST(SpeculativeConfig, AsVllmReadsIt) {
  EXPECT_EQ(parse_speculative_config(""), SpeculativeConfig{});
  EXPECT_EQ(parse_speculative_config(R"({"method": "ngram"})"), SpeculativeConfig{});
  EXPECT_EQ(parse_speculative_config(R"({"method": "ngram", "num_speculative_tokens": 3})")->num_speculative_tokens, 3);
  EXPECT_EQ(parse_speculative_config(R"({"method": "none"})")->num_speculative_tokens, 0);
  for (const auto* text :
       {"ngram", "3", "{", "{}", R"({"method": "eagle"})", R"({"method": 3})", R"({"method": "ngram", "model": "x"})",
        R"({"method": "ngram", "num_speculative_tokens": 0})", R"({"method": "ngram", "num_speculative_tokens": 8})",
        R"({"method": "ngram", "num_speculative_tokens": "3"})", R"({"method": "none", "num_speculative_tokens": 3})",
        R"({"method": "ngram", "prompt_lookup_min": 0})", R"({"method": "ngram", "prompt_lookup_max": 33})",
        R"({"method": "ngram", "prompt_lookup_min": 4, "prompt_lookup_max": 3})"})
    EXPECT_FALSE(parse_speculative_config(text)) << text;
  EXPECT_THAT(parse_speculative_config(R"({"method": "ngram", "method": "none"})").error().message,
              HasSubstr("method"));
  EXPECT_THAT(parse_speculative_config("x").error().message, HasSubstr("--speculative-config"));
}

TEST(SpeculativeConfig, OneLengthOfAMatchMovesTheOthersDefault) {
  const auto lengths = [](const char* text) {
    const auto config = parse_speculative_config(text).value();
    return std::pair(config.prompt_lookup_min, config.prompt_lookup_max);
  };
  EXPECT_EQ(lengths(R"({"method": "ngram", "prompt_lookup_max": 4})"), std::pair(2, 4));
  EXPECT_EQ(lengths(R"({"method": "ngram", "prompt_lookup_max": 1})"), std::pair(1, 1));
  EXPECT_EQ(lengths(R"({"method": "ngram", "prompt_lookup_min": 12})"), std::pair(12, 12));
  EXPECT_EQ(lengths(R"({"method": "ngram", "prompt_lookup_min": 3, "prompt_lookup_max": 5})"), std::pair(3, 5));
}

TEST(KernelTuningFlag, AutoDefaultOrNumbers) {
  ::setenv("RETORT_CACHE", "/somewhere", 1);
  const auto measured = parse_kernel_tuning("auto").value();
  ::unsetenv("RETORT_CACHE");
  EXPECT_TRUE(measured.measures);
  EXPECT_EQ(measured.cache_file, "/somewhere/kernel_tuning.json");
  const auto usual = parse_kernel_tuning("default").value();
  EXPECT_FALSE(usual.measures || usual.nudged_rows || usual.many_rows_from || usual.keeps_lines);
  const auto both = parse_kernel_tuning("many_rows_from=17,keeps_lines=1,nudged_rows=0").value();
  EXPECT_FALSE(both.measures);
  EXPECT_EQ(both.nudged_rows, 0);
  EXPECT_EQ(both.many_rows_from, 17);
  EXPECT_EQ(both.keeps_lines, 1);
  EXPECT_EQ(parse_kernel_tuning("nudged_rows=16").value().many_rows_from, std::nullopt);
  for (const auto* text : {"",
                           "fast",
                           "auto,nudged_rows=1",
                           "nudged_rows",
                           "nudged_rows=",
                           "nudged_rows=1,",
                           ",nudged_rows=1",
                           "nudged_rows=x",
                           "nudged_rows=1x",
                           "nudged_rows= 1",
                           "nudged_rows=-1",
                           "nudged_rows=17",
                           "nudged_rows=99999999999",
                           "many_rows_from=0",
                           "many_rows_from=18",
                           "nudged_rows=1,nudged_rows=1",
                           "nudged=1",
                           "nudged_rows=1 many_rows_from=2",
                           "keeps_lines=2",
                           "keeps_lines=true"})
    EXPECT_FALSE(parse_kernel_tuning(text)) << text;
  const auto message = [](const char* text) { return parse_kernel_tuning(text).error().message; };
  EXPECT_EQ(
      message("fast"),
      "[flags] --kernel-tuning: expected auto, default or nudged_rows=N,keeps_lines=0|1,many_rows_from=M, got 'fast'");
  EXPECT_THAT(message("many_rows_from=0"), HasSubstr("expected many_rows_from from 1 to 17, got 'many_rows_from=0'"));
  EXPECT_THAT(message("nudged_rows=1,nudged_rows=2"), HasSubstr("expected nudged_rows once"));
}

class ConfigFile : public ::testing::Test {
 protected:
  ConfigFile() {
    app.add_option("--port", port)->envname("RETORT_TEST_PORT");
    app.add_option("--host", host);
    app.add_option("--api-key", keys)->allow_extra_args(false);
    app.add_flag("--prefix,!--no-prefix", prefix);
    app.add_option("--config", config);
  }
  Result<std::vector<std::string>> read(const std::string& yaml, const std::vector<std::string>& given = {}) const {
    const auto path = ::testing::TempDir() + "/retort_config_" +
                      ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".yaml";
    std::ofstream(path) << yaml;
    return arguments_from_config(path, app, given);
  }
  CLI::App app;
  int port = 0;
  std::string host, config;
  std::vector<std::string> keys;
  bool prefix = true;
};

TEST_F(ConfigFile, ValuesListsAndFlags) {
  const auto arguments = read("port: 8001\napi_key: [a, b c]\nprefix: false\n");
  ASSERT_TRUE(arguments) << arguments.error().message;
  EXPECT_THAT(*arguments, ElementsAre("--port=8001", "--api-key=a", "--api-key=b c", "--prefix=false"));
  std::vector<std::string> reversed(arguments->rbegin(), arguments->rend());
  app.parse(reversed);
  EXPECT_EQ(port, 8001);
  EXPECT_THAT(keys, ElementsAre("a", "b c"));
  EXPECT_FALSE(prefix);
}

TEST_F(ConfigFile, CommandLineAndEnvironmentGoFirst) {
  EXPECT_THAT(*read("port: 1\nhost: x\n", {"--port", "2"}), ElementsAre("--host=x"));
  EXPECT_THAT(*read("port: 1\nprefix: true\n", {"--port=2", "--no-prefix"}), ElementsAre());
  ::setenv("RETORT_TEST_PORT", "3", 1);
  EXPECT_THAT(*read("port: 1\n"), ElementsAre());
  ::unsetenv("RETORT_TEST_PORT");
}

TEST_F(ConfigFile, WhatIsWrongIsSaid) {
  EXPECT_THAT(read("prot: 1\n").error().message, HasSubstr("did you mean 'port'?"));
  EXPECT_THAT(read("port: [1, 2]\n").error().message, HasSubstr("expected a single value"));
  EXPECT_THAT(read("port: {a: b}\n").error().message, HasSubstr("expected a single value"));
  EXPECT_THAT(read("- port\n").error().message, HasSubstr("expected a mapping"));
  EXPECT_THAT(*read("# port: 8001\n"), IsEmpty());
  EXPECT_THAT(read("config: other.yaml\n").error().message, EndsWith("no flag is called 'config'"));
  EXPECT_FALSE(read("port: [1\n"));
  EXPECT_THAT(read("port: 1\n---\nhost: x\n").error().message, HasSubstr(".yaml: expected one document, got 2"));
  EXPECT_THAT(*read("---\nport: 1\n...\n"), ElementsAre("--port=1"));
  EXPECT_THAT(read("port: 010\n").error().message,
              HasSubstr("port: expected a number without zeros in front, got 010"));
  EXPECT_THAT(*read("host: 010\n"), ElementsAre("--host=010"));
  EXPECT_THAT(read("port: 1\nport: 2\n").error().message, HasSubstr(".yaml: 'port' is there twice"));
  EXPECT_THAT(read("api-key: a\napi_key: b\n").error().message, HasSubstr(".yaml: 'api-key' is there twice"));
  EXPECT_FALSE(arguments_from_config("/nowhere.yaml", app, {}));
}

TEST(Summarise, MedianAndSpread) {
  const auto odd = summarise({3, 1, 2});
  EXPECT_EQ(odd.median, 2);
  EXPECT_EQ(odd.min, 1);
  EXPECT_EQ(odd.max, 3);
  EXPECT_EQ(odd.spread(), 1);
  EXPECT_EQ(summarise({4, 1, 2, 3}).median, 2.5);
}

TEST(Bandwidth, IsThatOfSomeMemory) {
  ThreadPool pool(2);
  const double gbps = measure_read_gbps(pool);
  EXPECT_GT(gbps, 0.05);
  EXPECT_LT(gbps, 5000);
}

}  // namespace
}  // namespace retort
