#include "model/config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kernels/attention.h"

namespace retort {
namespace {

struct Range {
  std::string_view name;
  int64_t value, min, max;
};

// Wide enough for every model of these families, narrow enough that no product of two overflows.
Status check_ranges(const ModelConfig& c) {
  constexpr int64_t kMaxContext = int64_t{1} << 30;
  const std::array ranges = {
      Range{"hidden size", c.hidden_size, 1, 1 << 17},     Range{"number of layers", c.num_layers, 1, 1024},
      Range{"number of heads", c.num_heads, 1, 1024},      Range{"number of KV heads", c.num_kv_heads, 1, 1024},
      Range{"head dimension", c.head_dim, 8, kMaxHeadDim}, Range{"feed-forward size", c.ffn_size, 1, 1 << 20},
      Range{"vocabulary size", c.vocab_size, 1, 1 << 24},  Range{"context length", c.max_context, 1, kMaxContext},
  };
  for (const Range& range : ranges)
    if (range.value < range.min || range.value > range.max)
      return fail(ErrorKind::kBadInput, "[model] {}: expected {} to {}, got {}", range.name, range.min, range.max,
                  range.value);
  return {};
}

Status check_positive(std::string_view name, float value) {
  if (std::isfinite(value) && value > 0) return {};
  return fail(ErrorKind::kBadInput, "[model] {}: expected a positive number, got {}", name, value);
}

Status check_rope(const ModelConfig& c) {
  const RopeScaling& scaling = c.rope_scaling;
  RETORT_TRY(check_positive("rope theta", c.rope_theta));
  RETORT_TRY(check_positive("rope scaling factor", scaling.factor));
  if (c.rope_dim != c.head_dim)
    return fail(ErrorKind::kUnsupported,
                "[model] rope dimensions: {} of a head's {} are rotated, supported is all of them", c.rope_dim,
                c.head_dim);
  if (scaling.kind == RopeScaling::Kind::kLlama3 || scaling.kind == RopeScaling::Kind::kYarn) {
    if (scaling.original_context < 1)
      return fail(ErrorKind::kBadInput, "[model] rope scaling original context length: expected at least 1, got {}",
                  scaling.original_context);
  }
  if (scaling.kind == RopeScaling::Kind::kLlama3) {
    RETORT_TRY(check_positive("rope scaling low_freq_factor", scaling.low_freq_factor));
    if (!(scaling.high_freq_factor > scaling.low_freq_factor))
      return fail(ErrorKind::kBadInput,
                  "[model] rope scaling high_freq_factor: expected more than low_freq_factor {}, got {}",
                  scaling.low_freq_factor, scaling.high_freq_factor);
  }
  if (scaling.kind == RopeScaling::Kind::kYarn) {
    RETORT_TRY(check_positive("rope scaling beta_fast", scaling.beta_fast));
    RETORT_TRY(check_positive("rope scaling beta_slow", scaling.beta_slow));
    RETORT_TRY(check_positive("rope scaling attention factor", scaling.attention_factor));
    if (!(c.rope_theta > 1))
      return fail(ErrorKind::kBadInput, "[model] rope theta: YaRN needs more than 1, got {}", c.rope_theta);
  }
  const auto& divisors = scaling.frequency_divisors;
  if (!divisors.empty() && static_cast<int64_t>(divisors.size()) != c.head_dim / 2)
    return fail(ErrorKind::kBadInput, "[model] rope_freqs.weight: expected {} elements, file holds {}", c.head_dim / 2,
                divisors.size());
  for (float divisor : divisors) RETORT_TRY(check_positive("rope_freqs.weight", divisor));
  return {};
}

}  // namespace

bool is_supported_architecture(std::string_view name) { return name == "llama" || name == "qwen2" || name == "qwen3"; }

Status check_config(const ModelConfig& c) {
  RETORT_TRY(check_ranges(c));
  if (c.num_heads % c.num_kv_heads != 0)
    return fail(ErrorKind::kBadInput, "[model] number of heads: expected a multiple of the {} KV heads, got {}",
                c.num_kv_heads, c.num_heads);
  if (c.head_dim % 8 != 0)
    return fail(ErrorKind::kUnsupported, "[model] head dimension: supported are multiples of 8, got {}", c.head_dim);
  RETORT_TRY(check_positive("RMS norm epsilon", c.rms_eps));
  return check_rope(c);
}

}  // namespace retort
