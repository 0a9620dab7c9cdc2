#include "kernels/matmul.h"

#include <algorithm>
#include <cstring>

#include "base/result.h"
#include "kernels/pack_tile.h"

namespace retort {
namespace {

// Rows a panel is filled up to: those that kernels are written for. The rows added are zeros, computed and dropped.
int64_t filled_rows(int64_t num_rows, const TileKernels& kernels, bool is_many) {
  const int64_t step = is_many ? kernels.many_rows_step : 1;
  for (int64_t rows : {1, 2, 3, 4, 6, 8, 10})
    if (num_rows <= rows && rows < kernels.panel_rows && rows % step == 0) return rows;
  return kernels.panel_rows;
}

const TileKernels& tile_kernels(Isa isa) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::kAvx2:
      return kAvx2TileKernels;
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
  if (isa == Isa::kAvx512Bf16 || isa == Isa::kAmx) return &kAvx512Bf16Kernels;
#endif
  return nullptr;
}

QuantTileKernel quant_kernel(const TileKernels& kernels, TensorType type) {
  switch (type) {
    case TensorType::kQ4_0:
      return kernels.q4_0;
    case TensorType::kQ4_1:
      return kernels.q4_1;
    case TensorType::kQ5_0:
      return kernels.q5_0;
    case TensorType::kQ5_1:
      return kernels.q5_1;
    case TensorType::kQ8_0:
      return kernels.q8_0;
    case TensorType::kQ2_K:
      return kernels.q2_k;
    case TensorType::kQ3_K:
      return kernels.q3_k;
    case TensorType::kQ4_K:
      return kernels.q4_k;
    case TensorType::kQ5_K:
      return kernels.q5_k;
    case TensorType::kQ6_K:
      return kernels.q6_k;
    case TensorType::kIQ4_NL:
      return kernels.iq4_nl;
    case TensorType::kIQ4_XS:
      return kernels.iq4_xs;
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

// One tile's results, [num_rows][16], to their place in the output.
void write_tile(const MatmulOutput& output, int64_t tile_idx, const float* tile, int64_t first_row, int64_t num_rows) {
  const int64_t first = tile_idx * kTileOutputs;
  const int64_t count = std::min<int64_t>(kTileOutputs, output.weight->num_outputs() - first);
  for (int64_t r = 0; r < num_rows; ++r, tile += kTileOutputs) {
    float* out = output.out + (first_row + r) * output.stride + first;
    for (int64_t o = 0; o < count; ++o) {
      const float value = output.bias != nullptr ? tile[o] + output.bias[first + o] : tile[o];
      out[o] = output.accumulate ? out[o] + value : value;
    }
  }
}

// Weights that stay in the second-level cache while every panel of activations passes over them.
constexpr int64_t kTileBlockBytes = 192 << 10;

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
  grow(neg_sums_, entries);
  grow(neg_half_sums_, 2 * entries);
}

ActivationPanel Activations::panel(int64_t panel_idx, const TileKernels& kernels, const KernelTuning& tuning) {
  const int64_t first_row = panel_idx * kernels.panel_rows, first = first_row * num_groups();
  const int64_t num_rows = std::min<int64_t>(kernels.panel_rows, num_rows_ - first_row);
  const bool is_many = kernels.many_rows_step > 0 && num_rows >= tuning.many_rows_from;
  return {quants_.data() + first * kGroupInputs,
          scales_.data() + first,
          neg_sums_.data() + first,
          neg_half_sums_.data() + 2 * first,
          sums_.data() + first,
          half_sums_.data() + 2 * first,
          filled_rows(num_rows, kernels, is_many),
          is_many,
          num_rows <= tuning.nudged_rows ? Prefetch::kNudge
          : tuning.keeps_lines           ? Prefetch::kAskInto
                                         : Prefetch::kAskPast};
}

Matmul::Matmul(Isa isa, ThreadPool& pool) : Matmul(tile_kernels(isa), pool, bf16_kernels(isa)) {}

void Matmul::quantize(Activations& in) const {
  const int64_t panel_rows = kernels_->panel_rows, rows = in.num_panels(*kernels_) * panel_rows;
  pool_->parallel_for(static_cast<size_t>(rows), 4, [&](size_t begin, size_t end, int) {
    static constexpr int64_t kChunk = 64;  // groups of zeros for the rows that fill up a panel
    static const float kZeros[kChunk * kGroupInputs] = {};
    for (auto row = static_cast<int64_t>(begin); row < static_cast<int64_t>(end); ++row) {
      ActivationPanel panel = in.panel(row / panel_rows, *kernels_, tuning_);
      const int64_t row_idx = row % panel_rows;
      if (row_idx >= panel.num_rows) continue;
      if (row < in.num_rows()) {
        kernels_->quantize_row(in.row(row), in.num_groups(), row_idx, panel);
        continue;
      }
      for (int64_t g = 0; g < in.num_groups(); g += kChunk) {
        const ActivationPanel rest = entries_from(panel, g * panel.num_rows);
        kernels_->quantize_row(kZeros, std::min(kChunk, in.num_groups() - g), row_idx, rest);
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

void Matmul::run_tile(Activations& in, const MatmulOutput& output, int64_t tile_idx, int64_t panel_idx) const {
  float tile[kMaxTileRows * kTileOutputs];
  const int64_t first_row = panel_idx * kernels_->panel_rows;
  const int64_t num_rows = std::min<int64_t>(kernels_->panel_rows, in.num_rows() - first_row);
  const PackedMatrix& weight = *output.weight;
  if (const QuantTileKernel kernel = quant_kernel(*kernels_, weight.type()))
    kernel(weight.tile(tile_idx), in.num_groups(), in.panel(panel_idx, *kernels_, tuning_), tile);
  else if (bf16_ != nullptr && weight.type() == TensorType::kBF16)
    bf16_->multiply(weight.tile(tile_idx), in.num_inputs(), in.bf16_row(first_row), num_rows, tile);
  else
    float_kernel(*kernels_, weight.type())(weight.tile(tile_idx), in.num_inputs(), in.row(first_row), in.num_inputs(),
                                           num_rows, tile);
  write_tile(output, tile_idx, tile, first_row, num_rows);
}

void Matmul::run(Activations& in, std::span<const MatmulOutput> outputs) {
  // Work items are blocks of tiles, numbered through all outputs; inside a block every panel of rows passes over its
  // tiles.
  int64_t block_tiles = 1, num_blocks = 0;
  bool any_quantised = false, any_bf16 = false;
  for (const auto& output : outputs) {
    any_quantised |= quant_kernel(*kernels_, output.weight->type()) != nullptr;
    any_bf16 |= output.weight->type() == TensorType::kBF16;
    RETORT_CHECK(output.weight->num_inputs() == in.num_inputs() && output.stride >= output.weight->num_outputs());
    block_tiles = std::max<int64_t>(1, kTileBlockBytes / static_cast<int64_t>(output.weight->tile_bytes()));
  }
  if (any_quantised) quantize(in);
  if (any_bf16 && bf16_ != nullptr) round_to_bf16(in);
  if (in.num_rows() <= kernels_->panel_rows) block_tiles = std::min<int64_t>(block_tiles, 4);
  for (const auto& output : outputs) num_blocks += (output.weight->num_tiles() + block_tiles - 1) / block_tiles;

  pool_->parallel_for(static_cast<size_t>(num_blocks), 1, [&](size_t begin, size_t end, int) {
    for (size_t item = begin; item < end; ++item) {
      auto block = static_cast<int64_t>(item);
      const MatmulOutput* output = outputs.data();
      while (block * block_tiles >= output->weight->num_tiles()) {
        block -= (output->weight->num_tiles() + block_tiles - 1) / block_tiles;
        ++output;
      }
      const int64_t last = std::min((block + 1) * block_tiles, output->weight->num_tiles());
      for (int64_t panel = 0; panel < in.num_panels(*kernels_); ++panel)
        for (int64_t t = block * block_tiles; t < last; ++t) run_tile(in, *output, t, panel);
    }
  });
}

}  // namespace retort
