#include "cli/trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

namespace retort {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Result<std::vector<SimulatedRequest>> read(const std::string& text) {
  const auto path = ::testing::TempDir() + "/retort_trace_" +
                    ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".jsonl";
  std::ofstream(path) << text;
  return read_trace(path);
}

TEST(Trace, ReadsMooncakesForm) {
  const auto trace = read(R"({"timestamp": 500.5, "input_length": 7, "output_length": 1}

{"timestamp": 2000, "input_length": 600, "output_length": 5, "hash_ids": [3, 4], "priority": -1}
)");
  ASSERT_TRUE(trace) << trace.error().message;
  ASSERT_EQ(trace->size(), 2u);
  EXPECT_EQ(trace->at(0).arrival, 0.5005);
  EXPECT_EQ(trace->at(0).input_length, 7);
  EXPECT_EQ(trace->at(1).output_length, 5);
  EXPECT_EQ(trace->at(1).priority, -1);
  EXPECT_THAT(trace->at(1).hash_ids, ElementsAre(3, 4));
}

TEST(Trace, ErrorsNameTheLineAndWhatWasExpected) {
  const std::string good = R"({"timestamp": 1, "input_length": 1, "output_length": 1})"
                           "\n";
  const std::pair<const char*, const char*> bad[] = {
      {"x", "line 2: expected a JSON object"},
      {"[]", "line 2: expected a JSON object"},
      {R"({"input_length": 1, "output_length": 1})",
       "line 2: timestamp: expected milliseconds from 0 to 10000000000000, got null"},
      {R"({"timestamp": 1e300, "input_length": 1, "output_length": 1})", "timestamp: expected milliseconds from 0 to"},
      {R"({"timestamp": 1, "input_length": 1, "output_length": 1, "priority": 1000001})",
       "priority: expected a whole number -1000000 to 1000000"},
      {R"({"timestamp": 0.5, "input_length": 1, "output_length": 1})", "line 2: timestamp: expected 1 or later"},
      {R"({"timestamp": 1, "input_length": 0, "output_length": 1})", "input_length: expected a whole number 1 to"},
      {R"({"timestamp": 1, "input_length": 1, "output_length": 1e99})", "output_length"},
      {R"({"timestamp": 1, "input_length": 1, "output_length": 1, "hash_ids": [-1]})", "hash_ids"},
      {R"({"timestamp": 1, "input_length": 1, "output_length": 1, "priority": "high"})", "priority"},
  };
  for (const auto& [line, reason] : bad) {
    const auto trace = read(good + line);
    ASSERT_FALSE(trace) << line;
    EXPECT_THAT(trace.error().message, HasSubstr(reason));
  }
  EXPECT_THAT(read("\n").error().message, HasSubstr("expected a request a line, there is none"));
  EXPECT_EQ(read_trace("/nowhere.jsonl").error().kind, ErrorKind::kNotFound);
}

TEST(Trace, DrawsPoissonArrivalsWithinTheLengthsGiven) {
  const auto trace =
      draw_trace({.num_requests = 4000, .rate = 5, .min_input = 3, .max_input = 6, .min_output = 1, .max_output = 1});
  EXPECT_NEAR(trace.back().arrival, 800, 40) << "4,000 arrivals at 5 a second; three standard deviations";
  std::array<int, 4> counts{};
  for (const auto& request : trace) {
    ++counts.at(request.input_length - 3);
    EXPECT_EQ(request.output_length, 1);
  }
  for (int count : counts) EXPECT_NEAR(count, 1000, 100);
}

}  // namespace
}  // namespace retort
