// out[row, n] = Σ_k in[row, k] · W[n, k] (+ bias[n]). The order of the sum over k is one for every number of rows, so a
// row's result does not depend on which rows share the call.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "base/cpu.h"
#include "base/thread_pool.h"
#include "kernels/packed_matrix.h"
#include "kernels/tile_kernel.h"

namespace retort {

// Rows of activations in the forms kernels read: float32; int8 in groups of 32 with one float scale a group (ggml's
// Q8_0 with a float scale), arranged in panels of the kernels' panel_rows; bf16. Buffers grow and are reused.
class Activations {
 public:
  // Shape [num_rows, num_inputs]; contents undefined until written.
  void resize(int64_t num_rows, int64_t num_inputs);
  float* row(int64_t row_idx) { return values_.data() + row_idx * num_inputs_; }
  const float* row(int64_t row_idx) const { return values_.data() + row_idx * num_inputs_; }
  int64_t num_rows() const { return num_rows_; }
  int64_t num_inputs() const { return num_inputs_; }

 private:
  friend class Matmul;
  int64_t num_groups() const { return (num_inputs_ + kGroupInputs - 1) / kGroupInputs; }
  int64_t num_panels(const TileKernels& kernels) const {
    return (num_rows_ + kernels.panel_rows - 1) / kernels.panel_rows;
  }
  ActivationPanel panel(int64_t panel_idx, const TileKernels& kernels, const KernelTuning& tuning);
  uint16_t* bf16_row(int64_t row_idx) { return bf16_.data() + row_idx * (num_inputs_ + num_inputs_ % 2); }

  int64_t num_rows_ = 0, num_inputs_ = 0;
  std::vector<float> values_;
  // Entry (panel p, group g, row r) is at panel_rows * p * num_groups + g * rows_of_panel + r; see ActivationPanel.
  std::vector<int8_t> quants_;
  std::vector<float> scales_, sums_, half_sums_;
  std::vector<int32_t> starts_, half_starts_;
  std::vector<uint16_t> bf16_;  // [num_rows, num_inputs rounded up to even]
};

struct MatmulOutput {
  const PackedMatrix* weight;
  const float* bias;        // [num_outputs] or null
  float* out;               // [num_rows, stride]
  int64_t stride;           // floats between rows of out, ≥ num_outputs
  bool accumulate = false;  // add to what is in out (residual) instead of overwriting
};

class Matmul {
 public:
  Matmul(Isa isa, ThreadPool& pool);
  Matmul(const TileKernels& kernels, ThreadPool& pool, const Bf16Kernels* bf16 = nullptr)
      : kernels_(&kernels), tuning_(kernels.tuning), bf16_(bf16), pool_(&pool) {}

  const TileKernels& kernels() const { return *kernels_; }
  const KernelTuning& tuning() const { return tuning_; }
  void set_tuning(const KernelTuning& tuning) { tuning_ = tuning; }

  // Several matrices over the same input in one parallel pass (q, k and v; gate and up), once the input is in the forms
  // that their types are multiplied in.
  void run(Activations& in, std::span<const MatmulOutput> outputs);
  void run(Activations& in, std::initializer_list<MatmulOutput> outputs) {
    run(in, std::span(outputs.begin(), outputs.size()));
  }

 private:
  // Tiles of one output that every panel of rows passes over before the next ones' turn.
  struct Block {
    const MatmulOutput* output;
    int64_t first, count;
  };
  struct alignas(64) CacheLine {
    unsigned char bytes[64];
  };

  void quantize(Activations& in) const;
  void round_to_bf16(Activations& in) const;
  const UnpackedTileKernel* unpacked_kernel(const Activations& in, TensorType type) const;
  size_t unpacked_tile_bytes(const Activations& in, TensorType type) const;
  int64_t block_tiles(const Activations& in, const PackedMatrix& weight, int64_t most) const;
  void prepare(Activations& in, std::span<const MatmulOutput> outputs);
  size_t unpacked_block_bytes(const Activations& in) const;
  void multiply_packed(Activations& in, const PackedMatrix& weight, int64_t tile_idx, int64_t first_row,
                       int64_t num_rows, float* out) const;
  void run_block(Activations& in, const Block& block, unsigned char* unpacked) const;

  const TileKernels* kernels_;
  KernelTuning tuning_;
  const Bf16Kernels* bf16_;  // null: BF16 weights are multiplied in float32
  ThreadPool* pool_;
  std::vector<Block> blocks_;        // of the current run
  std::vector<CacheLine> unpacked_;  // of each thread: the block that it is at
};

}  // namespace retort
