// A weight matrix [num_outputs, num_inputs] in the layout every matmul kernel reads: tiles of 16 outputs, inside a tile
// 4 consecutive inputs of each output side by side (64 bytes: one AVX-512 vector, two AVX2, four NEON). Stored integers
// and scales of the file's type are kept exactly. docs/kernels.md draws the layout.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/result.h"
#include "base/thread_pool.h"
#include "formats/tensor_type.h"
#include "kernels/tile_format.h"

namespace retort {

class PackedMatrix {
 public:
  PackedMatrix() = default;
  // Packs a tensor of shape [num_outputs, num_inputs]. Errors: not two-dimensional; num_inputs not whole blocks of the
  // type.
  static Result<PackedMatrix> pack(const TensorView& tensor, ThreadPool& pool);

  TensorType type() const { return type_; }
  int64_t num_outputs() const { return num_outputs_; }
  int64_t num_inputs() const { return num_inputs_; }
  int64_t num_tiles() const { return (num_outputs_ + kTileOutputs - 1) / kTileOutputs; }
  size_t tile_bytes() const { return tile_bytes_; }
  const unsigned char* tile(int64_t tile_idx) const {
    return data_.get() + static_cast<size_t>(tile_idx) * tile_bytes_;
  }
  size_t num_bytes() const { return tile_bytes_ * static_cast<size_t>(num_tiles()); }
  // One output's weights as float32 [num_inputs]: an embedding row where head and embedding share one matrix.
  void dequantize_row(int64_t output_idx, float* out) const;

 private:
  struct Free {
    void operator()(unsigned char* bytes) const;
  };
  TensorType type_ = TensorType::kF32;
  int64_t num_outputs_ = 0, num_inputs_ = 0;
  size_t tile_bytes_ = 0;
  std::unique_ptr<unsigned char[], Free> data_;  // 64-byte aligned, last tile padded with zero weights
};

}  // namespace retort
