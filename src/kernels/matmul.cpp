#include "kernels/matmul.h"

#include <algorithm>
#include <type_traits>

#include "base/result.h"
#include "kernels/pack_tile.h"

namespace retort {
namespace {

// Rows a panel is filled up to: those that kernels are written for. The rows added are zeros, computed and dropped.
int64_t filled_rows(int64_t num_rows, const TileKernels& kernels, bool is_many) {
  if (is_many) return (num_rows + kernels.many_rows_step - 1) / kernels.many_rows_step * kernels.many_rows_step;
  for (int64_t rows : {1, 2, 3, 4, 6, 8, 10})
    if (num_rows <= rows && rows < kernels.panel_rows) return rows;
  return kernels.panel_rows;
}

const TileKernels& tile_kernels(Isa isa) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::kAvx2:
      return kAvx2TileKernels;
    case Isa::kAvxVnni:
      return kAvxVnniTileKernels;
    case Isa::kAvx512Vnni:
    case Isa::kAvx512Bf16:
      return kAvx512VnniTileKernels;
    case Isa::kAmx:
      return kAmxTileKernels;
#elif defined(__aarch64__)
    case Isa::kNeonDotprod:
      return kNeonDotprodTileKernels;
    case Isa::kNeonI8mm:
      return kNeonI8mmTileKernels;
#endif
    default:
      return kScalarTileKernels;
  }
}

const Bf16Kernels* bf16_kernels(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512Bf16) return &kAvx512Bf16Kernels;
#endif
  return nullptr;
}

// The member of a type, in a table that has one for each; null for float types.
template <class Table>
auto of_type(const Table& table, TensorType type) -> decltype(&table.q4_0) {
  switch (type) {
    case TensorType::kQ4_0:
      return &table.q4_0;
    case TensorType::kQ4_1:
      return &table.q4_1;
    case TensorType::kQ5_0:
      return &table.q5_0;
    case TensorType::kQ5_1:
      return &table.q5_1;
    case TensorType::kQ8_0:
      return &table.q8_0;
    case TensorType::kQ2_K:
      return &table.q2_k;
    case TensorType::kQ3_K:
      return &table.q3_k;
    case TensorType::kQ4_K:
      return &table.q4_k;
    case TensorType::kQ5_K:
      return &table.q5_k;
    case TensorType::kQ6_K:
      return &table.q6_k;
    case TensorType::kIQ4_NL:
      return &table.iq4_nl;
    case TensorType::kIQ4_XS:
      return &table.iq4_xs;
    default:
      return nullptr;
  }
}

FloatTileKernel float_kernel(const TileKernels& kernels, TensorType type) {
  switch (type) {
    case TensorType::kF16:
      return kernels.f16;
    case TensorType::kBF16:
      return kernels.bf16;
    default:
      return kernels.f32;
  }
}

// One row of a tile's results to its place. count: an integral_constant for whole vectors.
template <class Count>
void write_row(const float* tile, const float* bias, bool accumulate, Count count, float* __restrict out) {
  if (bias == nullptr && !accumulate)
    for (int64_t o = 0; o < count; ++o) out[o] = tile[o];
  else if (bias == nullptr)
    for (int64_t o = 0; o < count; ++o) out[o] += tile[o];
  else if (!accumulate)
    for (int64_t o = 0; o < count; ++o) out[o] = tile[o] + bias[o];
  else
    for (int64_t o = 0; o < count; ++o) out[o] += tile[o] + bias[o];
}

// One tile's results, [num_rows][16], to their place in the output.
void write_tile(const MatmulOutput& output, int64_t tile_idx, const float* tile, int64_t first_row, int64_t num_rows) {
  const int64_t first = tile_idx * kTileOutputs;
  const int64_t count = std::min<int64_t>(kTileOutputs, output.weight->num_outputs() - first);
  const float* bias = output.bias == nullptr ? nullptr : output.bias + first;
  for (int64_t r = 0; r < num_rows; ++r, tile += kTileOutputs) {
    float* out = output.out + (first_row + r) * output.stride + first;
    if (count == kTileOutputs)
      write_row(tile, bias, output.accumulate, std::integral_constant<int64_t, kTileOutputs>(), out);
    else
      write_row(tile, bias, output.accumulate, count, out);
  }
}

// Weights that stay in the second-level cache while every panel of activations passes over them: packed, and unpacked,
// which is worth more of the cache, since the activations come from further away once a block.
constexpr int64_t kBlockBytes = 192 << 10, kUnpackedBlockBytes = 384 << 10;

// Unpacking for others costs the first panel more than one of them gains.
constexpr int64_t kFewestPanelsUnpacked = 2;

}  // namespace

void Activations::resize(int64_t num_rows, int64_t num_inputs) {
  num_rows_ = num_rows;
  num_inputs_ = num_inputs;
  const auto grow = [](auto& buffer, int64_t size) {
    if (buffer.size() < static_cast<size_t>(size)) buffer.resize(static_cast<size_t>(size));
  };
  grow(values_, num_rows * num_inputs);
  const int64_t entries = (num_rows + kMaxTileRows - 1) / kMaxTileRows * kMaxTileRows * num_groups();
  grow(quants_, entries * kGroupInputs);
  grow(scales_, entries);
  grow(sums_, entries);
  grow(half_sums_, 2 * entries);
  grow(starts_, entries);
  grow(half_starts_, 2 * entries);
}

ActivationPanel Activations::panel(int64_t panel_idx, const TileKernels& kernels, const KernelTuning& tuning) {
  const int64_t first_row = panel_idx * kernels.panel_rows, first = first_row * num_groups();
  const int64_t num_rows = std::min<int64_t>(kernels.panel_rows, num_rows_ - first_row);
  const bool is_many = kernels.many_rows_step > 0 && num_rows >= tuning.many_rows_from;
  return {quants_.data() + first * kGroupInputs,
          scales_.data() + first,
          starts_.data() + first,
          half_starts_.data() + 2 * first,
          sums_.data() + first,
          half_sums_.data() + 2 * first,
          filled_rows(num_rows, kernels, is_many),
          is_many,
          num_rows <= tuning.nudged_rows ? Prefetch::kNudge
          : tuning.keeps_lines           ? Prefetch::kAskInto
                                         : Prefetch::kAskPast};
}

Matmul::Matmul(Isa isa, ThreadPool& pool) : Matmul(tile_kernels(isa), pool, bf16_kernels(isa)) {}

// Cut into panels and groups, not into rows: rows of a panel lie beside each other, and threads would share cache lines
// all along. Rows that fill a panel up are zeros.
void Matmul::quantize(Activations& in) const {
  static constexpr int64_t kChunk = 128;  // groups of a piece at most
  static const float kZeros[kChunk * kGroupInputs] = {};
  const int64_t panel_rows = kernels_->panel_rows, num_groups = in.num_groups();
  const int64_t chunk = std::max<int64_t>(1, kChunk / std::min(in.num_rows(), panel_rows));
  const int64_t chunks = (num_groups + chunk - 1) / chunk;
  const auto pieces = static_cast<size_t>(in.num_panels(*kernels_) * chunks);
  pool_->parallel_for(pieces, 1, [&](size_t begin, size_t end, int) {
    for (auto piece = static_cast<int64_t>(begin); piece < static_cast<int64_t>(end); ++piece) {
      const int64_t panel_idx = piece / chunks, first = piece % chunks * chunk;
      const int64_t count = std::min(chunk, num_groups - first), first_row = panel_idx * panel_rows;
      const ActivationPanel panel = in.panel(panel_idx, *kernels_, tuning_);
      const ActivationPanel here = entries_from(panel, first * panel.num_rows);
      for (int64_t r = 0; r < panel.num_rows; ++r) {
        const bool is_filling = first_row + r >= in.num_rows();
        kernels_->quantize_row(is_filling ? kZeros : in.row(first_row + r) + first * kGroupInputs, count, r, here);
      }
    }
  });
}

void Matmul::round_to_bf16(Activations& in) const {
  const int64_t size = in.num_rows() * (in.num_inputs() + in.num_inputs() % 2);
  if (in.bf16_.size() < static_cast<size_t>(size)) in.bf16_.resize(static_cast<size_t>(size));
  pool_->parallel_for(static_cast<size_t>(in.num_rows()), 4, [&](size_t begin, size_t end, int) {
    for (auto row = static_cast<int64_t>(begin); row < static_cast<int64_t>(end); ++row)
      bf16_->round_row(in.row(row), in.num_inputs(), in.bf16_row(row));
  });
}

const UnpackedTileKernel* Matmul::unpacked_kernel(const Activations& in, TensorType type) const {
  if (kernels_->unpacked == nullptr || in.num_panels(*kernels_) < kFewestPanelsUnpacked) return nullptr;
  return of_type(*kernels_->unpacked, type);
}

size_t Matmul::unpacked_tile_bytes(const Activations& in, TensorType type) const {
  const UnpackedTileKernel* unpacked = unpacked_kernel(in, type);
  return unpacked == nullptr ? 0 : static_cast<size_t>(in.num_groups()) * unpacked->group_bytes;
}

// Tiles that every panel passes over before the next ones' turn. most: so that every thread has several blocks.
int64_t Matmul::block_tiles(const Activations& in, const PackedMatrix& weight, int64_t most) const {
  const auto unpacked_bytes = static_cast<int64_t>(unpacked_tile_bytes(in, weight.type()));
  const int64_t in_cache = unpacked_bytes > 0 ? kUnpackedBlockBytes / unpacked_bytes
                                              : kBlockBytes / static_cast<int64_t>(weight.tile_bytes());
  const int64_t tiles = std::max<int64_t>(1, std::min(in_cache, most));
  return in.num_panels(*kernels_) == 1 ? std::min<int64_t>(tiles, 4) : tiles;
}

// out: [num_rows][16]
void Matmul::multiply_packed(Activations& in, const PackedMatrix& weight, int64_t tile_idx, int64_t first_row,
                             int64_t num_rows, float* out) const {
  const unsigned char* tile = weight.tile(tile_idx);
  if (const QuantTileKernel* kernel = of_type(*kernels_, weight.type()))
    (*kernel)(tile, in.num_groups(), in.panel(first_row / kernels_->panel_rows, *kernels_, tuning_), out);
  else if (bf16_ != nullptr && weight.type() == TensorType::kBF16)
    bf16_->multiply(tile, in.num_inputs(), in.bf16_row(first_row), num_rows, out);
  else
    float_kernel(*kernels_, weight.type())(tile, in.num_inputs(), in.row(first_row), in.num_inputs(), num_rows, out);
}

// unpacked: room for the block's tiles, where they are to be unpacked.
void Matmul::run_block(Activations& in, const Block& block, unsigned char* unpacked) const {
  const PackedMatrix& weight = *block.output->weight;
  const UnpackedTileKernel* kernel = unpacked_kernel(in, weight.type());
  const size_t bytes = unpacked_tile_bytes(in, weight.type());
  for (int64_t p = 0; p < in.num_panels(*kernels_); ++p) {
    const int64_t first_row = p * kernels_->panel_rows;
    const int64_t num_rows = std::min<int64_t>(kernels_->panel_rows, in.num_rows() - first_row);
    const ActivationPanel panel = in.panel(p, *kernels_, tuning_);
    for (int64_t t = 0; t < block.count; ++t) {
      float results[kMaxTileRows * kTileOutputs];
      unsigned char* tile = unpacked + static_cast<size_t>(t) * bytes;
      if (kernel == nullptr)
        multiply_packed(in, weight, block.first + t, first_row, num_rows, results);
      else if (p == 0)
        kernel->multiply_first(weight.tile(block.first + t), in.num_groups(), panel, results, tile);
      else
        kernel->multiply(tile, in.num_groups(), panel, results);
      write_tile(*block.output, block.first + t, results, first_row, num_rows);
    }
  }
}

void Matmul::prepare(Activations& in, std::span<const MatmulOutput> outputs) {
  bool any_quantised = false, any_bf16 = false;
  int64_t total_tiles = 0;
  for (const auto& output : outputs) {
    const PackedMatrix& weight = *output.weight;
    RETORT_CHECK(weight.num_inputs() == in.num_inputs() && output.stride >= weight.num_outputs());
    any_quantised |= of_type(*kernels_, weight.type()) != nullptr;
    any_bf16 |= weight.type() == TensorType::kBF16;
    total_tiles += weight.num_tiles();
  }
  if (any_quantised) quantize(in);
  if (any_bf16 && bf16_ != nullptr) round_to_bf16(in);

  blocks_.clear();
  for (const auto& output : outputs) {
    const int64_t tiles = block_tiles(in, *output.weight, total_tiles / (4 * pool_->num_threads()));
    for (int64_t first = 0; first < output.weight->num_tiles(); first += tiles)
      blocks_.push_back({&output, first, std::min(tiles, output.weight->num_tiles() - first)});
  }
}

// What a thread needs to unpack any one block.
size_t Matmul::unpacked_block_bytes(const Activations& in) const {
  size_t bytes = 0;
  for (const Block& block : blocks_)
    bytes = std::max(bytes, static_cast<size_t>(block.count) * unpacked_tile_bytes(in, block.output->weight->type()));
  return bytes;
}

void Matmul::run(Activations& in, std::span<const MatmulOutput> outputs) {
  if (in.num_rows() == 0) return;
  prepare(in, outputs);
  const size_t bytes = unpacked_block_bytes(in);
  const size_t lines = bytes / sizeof(CacheLine) * static_cast<size_t>(pool_->num_threads());
  if (unpacked_.size() < lines) unpacked_.resize(lines);
  auto* unpacked = reinterpret_cast<unsigned char*>(unpacked_.data());
  pool_->parallel_for(blocks_.size(), 1, [&](size_t begin, size_t end, int thread_idx) {
    for (size_t i = begin; i < end; ++i) run_block(in, blocks_[i], unpacked + static_cast<size_t>(thread_idx) * bytes);
  });
}

}  // namespace retort
