// Number formats of stored tensors, numbered as GGUF numbers them (ggml/include/ggml.h, enum ggml_type).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace retort {

enum class TensorType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ4_NL = 20,
  kIQ4_XS = 23,
  kBF16 = 30,
};

struct TensorTypeInfo {
  TensorType type;
  std::string_view name;    // "Q4_K"
  uint32_t block_elements;  // elements in a block: 1, 32 or 256
  uint32_t block_bytes;     // bytes of a block
};

std::span<const TensorTypeInfo> tensor_types();            // all that are supported
const TensorTypeInfo* find_tensor_type(uint32_t gguf_id);  // null: not supported
const TensorTypeInfo& info_of(TensorType type);
std::optional<TensorType> tensor_type_from_name(std::string_view name);

// A tensor somewhere in a mapped file. Rows are the outermost dimension: a linear layer's weight is [outputs, inputs].
struct TensorView {
  std::string name;
  TensorType type = TensorType::kF32;
  std::vector<uint64_t> shape;      // outermost first (GGUF stores the reverse)
  std::span<const std::byte> data;  // checked to hold exactly the elements of shape; of safetensors not always aligned

  uint64_t num_elements() const;
};

}  // namespace retort
