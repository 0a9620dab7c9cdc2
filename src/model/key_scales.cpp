#include "model/key_scales.h"

#include <algorithm>
#include <cmath>

#include "formats/codecs.h"

namespace retort {
namespace {

// Of a spread of 1, over the tokens of a long text: a channel seldom goes further.
constexpr float kReach = 3;

}  // namespace

std::vector<float> key_spread(const TensorView& weight, std::span<const float> norm) {
  const size_t num_outputs = weight.shape[0], num_inputs = weight.shape[1],
               row_bytes = weight.data.size() / num_outputs;
  std::vector<float> row(num_inputs), spread(num_outputs);
  for (size_t o = 0; o < num_outputs; ++o) {
    dequantize(weight.type, weight.data.subspan(o * row_bytes, row_bytes), row);
    double sum = 0;
    for (size_t k = 0; k < num_inputs; ++k) sum += std::pow(static_cast<double>(row[k]) * norm[k], 2);
    spread[o] = static_cast<float>(std::sqrt(sum));
  }
  return spread;
}

std::vector<float> key_scales(const ModelConfig& config, std::span<const float> spread, std::span<const float> bias,
                              std::span<const float> k_norm) {
  const auto dim = static_cast<size_t>(config.head_dim), half = dim / 2;
  std::vector<float> reach(spread.size());
  for (size_t i = 0; i < reach.size(); ++i)
    reach[i] = k_norm.empty() ? kReach * spread[i] + (bias.empty() ? 0.0f : std::abs(bias[i]))
                              : kReach * std::abs(k_norm[i % dim]);  // normed heads have a spread of 1
  std::vector<float> scales(reach.size());
  for (size_t i = 0; i < scales.size(); ++i) {
    const size_t d = i % dim;
    const size_t partner = config.rope_style == RopeStyle::kNeox ? i - d + (d + half) % dim : i ^ 1;
    scales[i] = std::max({std::hypot(reach[i], reach[partner]), 1e-6f});
  }
  return scales;
}

}  // namespace retort
