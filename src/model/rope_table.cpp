#include "model/rope_table.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

namespace retort {
namespace {

// Llama 3.1: long waves are stretched by the factor, short ones kept, those between mixed.
double llama3_frequency(double frequency, const RopeScaling& scaling) {
  const double wavelength = 2 * std::numbers::pi / frequency;
  const double turns = static_cast<double>(scaling.original_context) / wavelength;
  if (turns < scaling.low_freq_factor) return frequency / scaling.factor;
  if (turns > scaling.high_freq_factor) return frequency;
  const double kept = (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor);
  return (1 - kept) * frequency / scaling.factor + kept * frequency;
}

// YaRN: pairs that turn more than beta_fast times in the original context are kept, those that turn less than beta_slow
// times are stretched, and the share grows evenly with the pair's index between.
class YarnRamp {
 public:
  explicit YarnRamp(const ModelConfig& config) {
    const double dim = static_cast<double>(config.head_dim);
    const auto pair_with_turns = [&](double turns) {
      const double context = static_cast<double>(config.rope_scaling.original_context);
      return dim * std::log(context / (turns * 2 * std::numbers::pi)) /
             (2 * std::log(static_cast<double>(config.rope_theta)));
    };
    low_ = std::max(0.0, std::floor(pair_with_turns(config.rope_scaling.beta_fast)));
    high_ = std::min(dim - 1, std::ceil(pair_with_turns(config.rope_scaling.beta_slow)));
    if (low_ == high_) high_ += 0.001;
  }
  double stretched(int64_t pair) const {
    return std::clamp((static_cast<double>(pair) - low_) / (high_ - low_), 0.0, 1.0);
  }

 private:
  double low_, high_;
};

}  // namespace

RopeTable::RopeTable(const ModelConfig& config) : frequencies_(static_cast<size_t>(config.head_dim / 2)) {
  const RopeScaling& scaling = config.rope_scaling;
  std::optional<YarnRamp> yarn;
  if (scaling.kind == RopeScaling::Kind::kYarn) yarn.emplace(config);
  for (size_t i = 0; i < frequencies_.size(); ++i) {
    double frequency = std::pow(static_cast<double>(config.rope_theta),
                                -2.0 * static_cast<double>(i) / static_cast<double>(config.head_dim));
    if (!scaling.frequency_divisors.empty()) frequency /= scaling.frequency_divisors[i];
    switch (scaling.kind) {
      case RopeScaling::Kind::kNone:
        break;
      case RopeScaling::Kind::kLinear:
        frequency /= scaling.factor;
        break;
      case RopeScaling::Kind::kLlama3:
        frequency = llama3_frequency(frequency, scaling);
        break;
      case RopeScaling::Kind::kYarn: {
        const double stretched = yarn->stretched(static_cast<int64_t>(i));
        frequency = frequency / scaling.factor * stretched + frequency * (1 - stretched);
        break;
      }
    }
    frequencies_[i] = frequency;
  }
  if (scaling.kind == RopeScaling::Kind::kYarn) magnitude_ = scaling.attention_factor;
}

void RopeTable::fill(int64_t position, float* cos, float* sin) const {
  for (size_t i = 0; i < frequencies_.size(); ++i) {
    const double angle = static_cast<double>(position) * frequencies_[i];
    cos[i] = static_cast<float>(std::cos(angle) * magnitude_);
    sin[i] = static_cast<float>(std::sin(angle) * magnitude_);
  }
}

}  // namespace retort
