// RMS norm, rotary embedding and SwiGLU over float32 rows. One table of functions an instruction set; `scalar` is the
// specification.
#pragma once

#include <cstdint>

namespace retort {

enum class Isa;

struct ElementwiseKernels {
  // out[i] = x[i] / sqrt(mean(x²) + eps) · weight[i]   (arXiv 1910.07467); out may be x
  void (*rms_norm)(const float* x, const float* weight, float eps, int64_t size, float* out);
  // Rotates one head in place. cos, sin: [head_dim / 2] for this position. NEOX pairs (i, i + head_dim/2); interleaved
  // pairs (2i, 2i + 1).
  void (*rope_neox)(float* head, const float* cos, const float* sin, int64_t head_dim);
  void (*rope_interleaved)(float* head, const float* cos, const float* sin, int64_t head_dim);
  // out[i] = silu(gate[i]) · up[i]; out may be gate
  void (*silu_mul)(const float* gate, const float* up, int64_t size, float* out);
};

const ElementwiseKernels& elementwise_kernels(Isa isa);

}  // namespace retort
