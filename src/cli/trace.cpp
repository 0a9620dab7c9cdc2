#include "cli/trace.h"
#include "cli/text_file.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/philox.h"

namespace retort {
namespace {

constexpr int64_t kMaxLength = 10'000'000;  // tokens: beyond any context

constexpr int64_t kMaxTimestamp = 10'000'000'000'000;  // 300 years
constexpr int kMaxPriority = 1'000'000;

Result<int64_t> length_of(const nlohmann::json& line, const char* key) {
  if (!line.contains(key) || !line[key].is_number_integer() || line[key] < 1 || line[key] > kMaxLength)
    return fail(ErrorKind::kBadInput, "{}: expected a whole number 1 to {}, got {}", key, kMaxLength,
                line.value(key, nlohmann::json()).dump());
  return line[key].get<int64_t>();
}

Result<SimulatedRequest> parse_line(const std::string& text) {
  const auto line = nlohmann::json::parse(text, nullptr, false);
  if (!line.is_object()) return fail(ErrorKind::kBadInput, "expected a JSON object");
  SimulatedRequest request;
  if (!line.contains("timestamp") || !line["timestamp"].is_number() || line["timestamp"] < 0 ||
      line["timestamp"] > kMaxTimestamp)
    return fail(ErrorKind::kBadInput, "timestamp: expected milliseconds from 0 to {}, got {}", kMaxTimestamp,
                line.value("timestamp", nlohmann::json()).dump());
  request.arrival = line["timestamp"].get<double>() / 1000;
  RETORT_ASSIGN(request.input_length, length_of(line, "input_length"));
  RETORT_ASSIGN(request.output_length, length_of(line, "output_length"));
  const auto priority = line.value("priority", nlohmann::json(0));
  if (!priority.is_number_integer() || priority < -kMaxPriority || priority > kMaxPriority)
    return fail(ErrorKind::kBadInput, "priority: expected a whole number {} to {}, got {}", -kMaxPriority, kMaxPriority,
                priority.dump());
  request.priority = priority.get<int>();
  const auto hash_ids = line.value("hash_ids", nlohmann::json::array());
  if (!hash_ids.is_array() || !std::ranges::all_of(hash_ids, [](const auto& id) { return id.is_number_unsigned(); }))
    return fail(ErrorKind::kBadInput, "hash_ids: expected whole numbers from 0 on, got {}", hash_ids.dump());
  for (const auto& id : hash_ids) request.hash_ids.push_back(id.get<uint64_t>());
  return request;
}

}  // namespace

Result<std::vector<SimulatedRequest>> read_trace(const std::filesystem::path& path) {
  const auto whole = read_text_file(path.string());
  if (!whole) return fail(whole.error().kind, "[simulate] {}: {}", path.string(), whole.error().message);
  std::istringstream lines(*whole);
  std::vector<SimulatedRequest> trace;
  int number = 0;
  for (std::string text; std::getline(lines, text);) {
    ++number;
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    auto request = parse_line(text);
    if (!request)
      return fail(request.error().kind, "[simulate] {} line {}: {}", path.string(), number, request.error().message);
    if (!trace.empty() && request->arrival < trace.back().arrival)
      return fail(ErrorKind::kBadInput,
                  "[simulate] {} line {}: timestamp: expected {} or later, the line before, got {}", path.string(),
                  number, trace.back().arrival * 1000, request->arrival * 1000);
    trace.push_back(std::move(*request));
  }
  if (trace.empty())
    return fail(ErrorKind::kBadInput, "[simulate] {}: expected a request a line, there is none", path.string());
  return trace;
}

std::vector<SimulatedRequest> draw_trace(const DrawnTrace& drawn) {
  std::vector<SimulatedRequest> trace(drawn.num_requests);
  double now = 0;
  for (size_t i = 0; i < trace.size(); ++i) {
    const auto between = [&](int64_t low, int64_t high, uint64_t what) {
      return low + static_cast<int64_t>(random_unit(drawn.seed, i, what) * static_cast<double>(high - low + 1));
    };
    now += -std::log1p(-random_unit(drawn.seed, i, 0)) / drawn.rate;
    trace[i].arrival = now;
    trace[i].input_length = between(drawn.min_input, drawn.max_input, 1);
    trace[i].output_length = between(drawn.min_output, drawn.max_output, 2);
  }
  return trace;
}

}  // namespace retort
