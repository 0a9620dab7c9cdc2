// How far the channels of keys reach, told from the weights alone: what int8 keys are divided by (KvLayerView).
// The idea is SmoothQuant's (arXiv 2211.10438), with scales that need no calibration text.
#pragma once

#include <span>
#include <vector>

#include "formats/tensor_type.h"
#include "model/config.h"

namespace retort {

// Standard deviation of each output of W · (norm ⊙ x) for x of unit variance: [num_outputs]. W: [num_outputs,
// num_inputs]
std::vector<float> key_spread(const TensorView& weight, std::span<const float> norm);

// bias, k_norm: as in LayerWeights, empty where the architecture has none. Result: [num_kv_heads, head_dim], positive
// and equal within a rotary pair.
std::vector<float> key_scales(const ModelConfig& config, std::span<const float> spread, std::span<const float> bias,
                              std::span<const float> k_norm);

}  // namespace retort
