#include "model/kv_store.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

namespace retort {

void KvStore::Unmap::operator()(std::byte* p) const { ::munmap(p, size); }

size_t KvStore::bytes_per_block(const ModelConfig& config, KvType type) {
  return kv_block_bytes(type, static_cast<int>(config.num_kv_heads), static_cast<int>(config.head_dim)) *
         static_cast<size_t>(config.num_layers);
}

Result<KvStore> KvStore::allocate(const ModelConfig& config, KvType type, int32_t num_blocks) {
  RETORT_CHECK(num_blocks > 0);
  KvStore store;
  store.type_ = type;
  store.num_blocks_ = num_blocks;
  store.num_layers_ = static_cast<int>(config.num_layers);
  store.num_kv_heads_ = static_cast<int>(config.num_kv_heads);
  store.head_dim_ = static_cast<int>(config.head_dim);
  store.layer_block_bytes_ = kv_block_bytes(type, store.num_kv_heads_, store.head_dim_);
  const size_t size = bytes_per_block(config, type) * static_cast<size_t>(num_blocks);
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    return fail(ErrorKind::kIo, "[kv] {} blocks of {} bytes for keys and values: {}", num_blocks,
                bytes_per_block(config, type), std::strerror(errno));
  store.data_ = std::unique_ptr<std::byte[], Unmap>(static_cast<std::byte*>(memory), Unmap{size});
  return store;
}

std::byte* KvStore::block(int64_t layer_idx, int32_t block) const {
  return data_.get() +
         (static_cast<size_t>(layer_idx) * static_cast<size_t>(num_blocks_) + static_cast<size_t>(block)) *
             layer_block_bytes_;
}

KvLayerView KvStore::layer(int64_t layer_idx) const {
  return {block(layer_idx, 0), layer_block_bytes_, type_, num_kv_heads_, head_dim_};
}

void KvStore::copy_block(int32_t from, int32_t to) {
  RETORT_CHECK(from >= 0 && from < num_blocks_ && to >= 0 && to < num_blocks_ && from != to);
  for (int layer = 0; layer < num_layers_; ++layer)
    std::memcpy(block(layer, to), block(layer, from), layer_block_bytes_);
}

size_t KvStore::num_bytes() const {
  return layer_block_bytes_ * static_cast<size_t>(num_layers_) * static_cast<size_t>(num_blocks_);
}

}  // namespace retort
