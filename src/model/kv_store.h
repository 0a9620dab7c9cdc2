// Memory of keys and values in blocks of 32 tokens, allocated once. Which block belongs to whom is the engine's
// business.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/result.h"
#include "kernels/attention.h"
#include "model/config.h"

namespace retort {

class KvStore {
 public:
  static size_t bytes_per_block(const ModelConfig& config, KvType type);  // all layers
  // Address space for all blocks; a page of memory is taken when it is first written. Error kIo: it cannot be had.
  static Result<KvStore> allocate(const ModelConfig& config, KvType type, int32_t num_blocks);

  int32_t num_blocks() const { return num_blocks_; }
  KvType type() const { return type_; }
  KvLayerView layer(int64_t layer_idx) const;
  // Copy-on-write: all layers of one block.
  void copy_block(int32_t from, int32_t to);
  size_t num_bytes() const;

 private:
  struct Unmap {
    size_t size;
    void operator()(std::byte* p) const;
  };
  std::byte* block(int64_t layer_idx, int32_t block) const;

  std::unique_ptr<std::byte[], Unmap> data_{nullptr, Unmap{0}};  // [num_layers][num_blocks][layer_block_bytes]
  KvType type_ = KvType::kBF16;
  int32_t num_blocks_ = 0;
  int num_layers_ = 0, num_kv_heads_ = 0, head_dim_ = 0;
  size_t layer_block_bytes_ = 0;
};

}  // namespace retort
