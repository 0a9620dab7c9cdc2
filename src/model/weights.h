// The weights of a transformer as the forward pass reads them: matrices packed, norms and biases float32.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/matmul.h"
#include "model/checkpoint.h"

namespace retort {

struct Linear {
  PackedMatrix weight;      // [num_outputs, num_inputs]
  std::vector<float> bias;  // [num_outputs], or empty

  // This layer's part of a Matmul::run whose result is [num_rows, num_outputs].
  MatmulOutput into(float* out) const { return output(out, false); }
  MatmulOutput added_to(float* out) const { return output(out, true); }

 private:
  MatmulOutput output(float* out, bool accumulate) const {
    return {&weight, bias.empty() ? nullptr : bias.data(), out, weight.num_outputs(), accumulate};
  }
};

struct LayerWeights {
  std::vector<float> attention_norm, ffn_norm;  // [hidden_size]
  std::vector<float> q_norm, k_norm;            // [head_dim], Qwen3 only
  std::vector<float> key_scales;                // [num_kv_heads, head_dim], see KvLayerView
  Linear q, k, v, attention_output, gate, up, down;
};

class Weights {
 public:
  // Packs every tensor and lets go of its file pages. Errors: the checkpoint's tensor_faults().
  static Result<Weights> load(const Checkpoint& checkpoint, ThreadPool& pool);

  const LayerWeights& layer(int64_t layer_idx) const { return layers_[static_cast<size_t>(layer_idx)]; }
  const std::vector<float>& output_norm() const { return output_norm_; }
  const PackedMatrix& head() const { return head_; }
  // Those of the layers' quantised matrices whose type and shape have the most bytes; only of matrices up to this size,
  // where there are such. Empty: none is quantised.
  std::vector<const PackedMatrix*> most_read_matrices(size_t largest) const;
  // out: [hidden_size]
  void embed(int32_t token, float* out) const;

  size_t num_bytes() const { return num_bytes_; }  // held in memory
  size_t matrix_bytes() const {
    return matrix_bytes_;
  }  // of packed matrices, head included: read for every decoded token

 private:
  explicit Weights(const Checkpoint& checkpoint) : checkpoint_(checkpoint) {}
  Status load_layer(int64_t layer_idx, ThreadPool& pool);
  const TensorView& tensor(std::string_view name) const;
  std::vector<float> vector(std::string_view name);
  Result<PackedMatrix> matrix(std::string_view name, ThreadPool& pool);
  Result<Linear> linear(const std::string& name, ThreadPool& pool);  // without ".weight"

  Checkpoint checkpoint_;  // keeps the embedding matrix mapped
  std::vector<LayerWeights> layers_;
  std::vector<float> output_norm_;
  PackedMatrix head_;
  const TensorView* embedding_ = nullptr;  // in the file; null when the head is the embedding
  size_t num_bytes_ = 0, matrix_bytes_ = 0;
};

}  // namespace retort
