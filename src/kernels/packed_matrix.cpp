#include "kernels/packed_matrix.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "kernels/pack_tile.h"
#include "kernels/scalar/read_tile.h"

namespace retort {
namespace {

constexpr size_t kHugePage = 2u << 20;

size_t float_tile_bytes(TensorType type, int64_t num_inputs) {
  const size_t element = type == TensorType::kF32 ? 4 : 2;
  const size_t inputs = static_cast<size_t>(num_inputs + (type == TensorType::kBF16 ? num_inputs % 2 : 0));
  return (inputs * element * kTileOutputs + 63) / 64 * 64;
}

float float_weight(TensorType type, const Byte* tile, int64_t k, int o) {
  if (type == TensorType::kF32) {
    float value;
    std::memcpy(&value, tile + 4 * (k * kTileOutputs + o), 4);
    return value;
  }
  uint16_t bits;
  if (type == TensorType::kF16) {
    std::memcpy(&bits, tile + 2 * (k * kTileOutputs + o), 2);
    return half_to_float(bits);
  }
  std::memcpy(&bits, tile + 2 * ((k / 2 * kTileOutputs + o) * 2 + k % 2), 2);
  const uint32_t word = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &word, 4);
  return value;
}

}  // namespace

void PackedMatrix::Free::operator()(unsigned char* bytes) const { std::free(bytes); }

Result<PackedMatrix> PackedMatrix::pack(const TensorView& tensor, ThreadPool& pool) {
  if (tensor.shape.size() != 2)
    return fail(ErrorKind::kBadInput, "[weights] tensor {}: expected 2 dimensions, it has {}", tensor.name,
                tensor.shape.size());
  const auto& info = info_of(tensor.type);
  PackedMatrix matrix;
  matrix.type_ = tensor.type;
  matrix.num_outputs_ = static_cast<int64_t>(tensor.shape[0]);
  matrix.num_inputs_ = static_cast<int64_t>(tensor.shape[1]);
  if (matrix.num_inputs_ % info.block_elements != 0)
    return fail(ErrorKind::kBadInput,
                "[weights] tensor {}: expected rows of whole {} blocks ({} weights), a row has {}", tensor.name,
                info.name, info.block_elements, matrix.num_inputs_);
  const TileFormat* format = tile_format(tensor.type);
  matrix.tile_bytes_ =
      format != nullptr ? format->tile_bytes(matrix.num_inputs_) : float_tile_bytes(tensor.type, matrix.num_inputs_);

  const size_t row_bytes = tensor.shape[1] / info.block_elements * info.block_bytes;
  RETORT_CHECK(tensor.data.size() == row_bytes * tensor.shape[0]);
  // Fresh pages of a large allocation are zero already; huge ones save most of the TLB misses of a pass over the
  // weights.
  const size_t bytes = matrix.num_bytes();
  const size_t alignment = bytes >= kHugePage ? kHugePage : 64;
  void* memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr)
    return fail(ErrorKind::kIo, "[weights] tensor {}: cannot allocate {} bytes", tensor.name, bytes);
  if (bytes >= kHugePage) ::madvise(memory, bytes, MADV_HUGEPAGE);
  matrix.data_.reset(static_cast<unsigned char*>(memory));

  const PackTile pack_tile = pack_tile_function(tensor.type);
  const auto* source = reinterpret_cast<const unsigned char*>(tensor.data.data());
  pool.parallel_for(static_cast<size_t>(matrix.num_tiles()), 1, [&](size_t begin, size_t end, int) {
    for (size_t t = begin; t < end; ++t) {
      const int64_t first = static_cast<int64_t>(t) * kTileOutputs;
      const auto rows = static_cast<int>(std::min<int64_t>(kTileOutputs, matrix.num_outputs_ - first));
      unsigned char* tile = matrix.data_.get() + t * matrix.tile_bytes_;
      std::memset(tile, 0, matrix.tile_bytes_);
      pack_tile(source + static_cast<size_t>(first) * row_bytes, row_bytes, rows, matrix.num_inputs_, tile);
    }
  });
  return matrix;
}

void PackedMatrix::dequantize_row(int64_t output_idx, float* out) const {
  RETORT_CHECK(output_idx >= 0 && output_idx < num_outputs_);
  const Byte* source = tile(output_idx / kTileOutputs);
  const auto o = static_cast<int>(output_idx % kTileOutputs);
  const TileFormat* format = tile_format(type_);
  if (format == nullptr) {
    for (int64_t k = 0; k < num_inputs_; ++k) out[k] = float_weight(type_, source, k, o);
    return;
  }
  const int64_t num_groups = num_inputs_ / kGroupInputs;
  for (int64_t g = 0; g < num_groups; ++g) {
    const TileScales s = tile_scales(*format, source, g, o);
    const Byte* group = source + format->group_offset(g);
    for (int k = 0; k < kGroupInputs; ++k) {
      const auto q = static_cast<float>(tile_quant(*format, group, o, k) - format->zero);
      out[g * kGroupInputs + k] = s.d[k / 16] * q + s.m[k / 16];
    }
  }
}

}  // namespace retort
