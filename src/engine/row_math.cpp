#include "engine/row_math.h"

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstddef>

#if defined(RETORT_ROW_CLONES) && defined(__x86_64__)
#define RETORT_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define RETORT_CLONES
#endif

namespace retort {
namespace {

constexpr size_t kLanes = 16;

// 2^x for x in [-126, 0]: whole part into the exponent, the rest by its Taylor series to (x ln 2)^7 / 7!.
inline float exp2_polynomial(float x) {
  constexpr float kRound = 0x1.8p23f;  // adding it leaves the nearest integer in the low bits
  const float shifted = x + kRound;
  const float f = x - (shifted - kRound);
  float p = 1.52527338e-5f;
  p = p * f + 1.54035304e-4f;
  p = p * f + 1.33335581e-3f;
  p = p * f + 9.61812911e-3f;
  p = p * f + 5.55041087e-2f;
  p = p * f + 2.40226507e-1f;
  p = p * f + 6.93147181e-1f;
  p = p * f + 1.0f;
  const auto exponent = (std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kRound)) << 23;
  return std::bit_cast<float>(std::bit_cast<int32_t>(p) + exponent);
}

template <class Condition>
inline bool any_lane(const float* lanes, Condition holds) {
  int32_t any = 0;
  for (size_t j = 0; j < kLanes; ++j) any |= holds(lanes[j]) ? 1 : 0;
  return any != 0;
}

}  // namespace

RETORT_CLONES
std::optional<RowMax> row_max(std::span<const float> row) {
  float lanes[kLanes];
  std::fill_n(lanes, kLanes, -INFINITY);
  int32_t bad[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= row.size(); i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) {
      const float x = row[i + j];
      lanes[j] = x > lanes[j] ? x : lanes[j];
      bad[j] |= !(x <= FLT_MAX);
    }
  }
  for (; i < row.size(); ++i) {
    lanes[0] = std::max(lanes[0], row[i]);
    bad[0] |= !(row[i] <= FLT_MAX);
  }
  const float max = *std::max_element(lanes, lanes + kLanes);
  if (std::any_of(bad, bad + kLanes, [](int32_t b) { return b != 0; }) || max == -INFINITY) return std::nullopt;
  size_t begin = 0;  // of the lanes that hold it
  while (begin + kLanes <= row.size() && !any_lane(&row[begin], [=](float x) { return x == max; })) begin += kLanes;
  return RowMax{max, static_cast<TokenId>(std::find(row.begin() + begin, row.end(), max) - row.begin())};
}

RETORT_CLONES
void row_exp(std::span<const float> row, float max, float temperature, std::span<float> out) {
  const float scale = static_cast<float>(1 / (std::log(2.0) * temperature));
  const float* x = row.data();
  float* y = out.data();
  for (size_t i = 0; i < row.size(); ++i) {
    const float t = (x[i] - max) * scale;
    const float power = exp2_polynomial(t > -126.0f ? t : -126.0f);
    y[i] = t > -126.0f ? power : 0.0f;
  }
}

RETORT_CLONES
double row_sum(std::span<const float> row) {
  double lanes[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= row.size(); i += kLanes)
    for (size_t j = 0; j < kLanes; ++j) lanes[j] += static_cast<double>(row[i + j]);
  double sum = 0;
  for (; i < row.size(); ++i) sum += static_cast<double>(row[i]);
  for (double lane : lanes) sum += lane;
  return sum;
}

RETORT_CLONES
void row_above(std::span<const float> row, float floor, std::vector<TokenId>& ids) {
  const auto look_at = [&](size_t i) {
    if (row[i] > floor) ids.push_back(static_cast<TokenId>(i));
  };
  size_t begin = 0;
  for (; begin + kLanes <= row.size(); begin += kLanes) {
    if (!any_lane(&row[begin], [=](float x) { return x > floor; })) continue;
    for (size_t j = 0; j < kLanes; ++j) look_at(begin + j);
  }
  for (; begin < row.size(); ++begin) look_at(begin);
}

double row_log_sum_exp(std::span<const float> row, float max, std::span<float> scratch) {
  row_exp(row, max, 1.0f, scratch);
  return static_cast<double>(max) + std::log(row_sum(scratch));
}

}  // namespace retort
