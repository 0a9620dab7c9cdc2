// The specification of the elementwise kernels: one element after another, sums in double.
#include <math.h>

#include "kernels/elementwise_tables.h"
#include "kernels/scalar/exp.h"

namespace retort::scalar {
namespace {

void rms_norm(const float* x, const float* weight, float eps, int64_t size, float* out) {
  double sum = 0;
  for (int64_t i = 0; i < size; ++i) sum += static_cast<double>(x[i]) * x[i];
  const float scale = static_cast<float>(1.0 / sqrt(sum / static_cast<double>(size) + eps));
  for (int64_t i = 0; i < size; ++i) out[i] = x[i] * scale * weight[i];
}

void rope_neox(float* head, const float* cos, const float* sin, int64_t head_dim) {
  const int64_t half = head_dim / 2;
  for (int64_t i = 0; i < half; ++i) {
    const float a = head[i], b = head[i + half];
    head[i] = a * cos[i] - b * sin[i];
    head[i + half] = a * sin[i] + b * cos[i];
  }
}

void rope_interleaved(float* head, const float* cos, const float* sin, int64_t head_dim) {
  for (int64_t i = 0; i < head_dim / 2; ++i) {
    const float a = head[2 * i], b = head[2 * i + 1];
    head[2 * i] = a * cos[i] - b * sin[i];
    head[2 * i + 1] = a * sin[i] + b * cos[i];
  }
}

void silu_mul(const float* gate, const float* up, int64_t size, float* out) {
  for (int64_t i = 0; i < size; ++i) out[i] = gate[i] / (1.0f + exp(-gate[i])) * up[i];
}

}  // namespace

const ElementwiseKernels kElementwise = {rms_norm, rope_neox, rope_interleaved, silu_mul};

}  // namespace retort::scalar
