#include "formats/tensor_type.h"

#include <algorithm>
#include <array>

namespace retort {
namespace {

constexpr std::array kTypes = {
    TensorTypeInfo{TensorType::kF32, "F32", 1, 4},         TensorTypeInfo{TensorType::kF16, "F16", 1, 2},
    TensorTypeInfo{TensorType::kQ4_0, "Q4_0", 32, 18},     TensorTypeInfo{TensorType::kQ4_1, "Q4_1", 32, 20},
    TensorTypeInfo{TensorType::kQ5_0, "Q5_0", 32, 22},     TensorTypeInfo{TensorType::kQ5_1, "Q5_1", 32, 24},
    TensorTypeInfo{TensorType::kQ8_0, "Q8_0", 32, 34},     TensorTypeInfo{TensorType::kQ2_K, "Q2_K", 256, 84},
    TensorTypeInfo{TensorType::kQ3_K, "Q3_K", 256, 110},   TensorTypeInfo{TensorType::kQ4_K, "Q4_K", 256, 144},
    TensorTypeInfo{TensorType::kQ5_K, "Q5_K", 256, 176},   TensorTypeInfo{TensorType::kQ6_K, "Q6_K", 256, 210},
    TensorTypeInfo{TensorType::kIQ4_NL, "IQ4_NL", 32, 18}, TensorTypeInfo{TensorType::kIQ4_XS, "IQ4_XS", 256, 136},
    TensorTypeInfo{TensorType::kBF16, "BF16", 1, 2},
};

}  // namespace

std::span<const TensorTypeInfo> tensor_types() { return kTypes; }

const TensorTypeInfo* find_tensor_type(uint32_t gguf_id) {
  const auto found = std::ranges::find(kTypes, static_cast<TensorType>(gguf_id), &TensorTypeInfo::type);
  return found == kTypes.end() ? nullptr : &*found;
}

const TensorTypeInfo& info_of(TensorType type) {
  const TensorTypeInfo* info = find_tensor_type(static_cast<uint32_t>(type));
  RETORT_CHECK(info != nullptr);
  return *info;
}

std::optional<TensorType> tensor_type_from_name(std::string_view name) {
  const auto found = std::ranges::find(kTypes, name, &TensorTypeInfo::name);
  if (found == kTypes.end()) return std::nullopt;
  return found->type;
}

uint64_t TensorView::num_elements() const {
  uint64_t product = 1;
  for (uint64_t dimension : shape) product *= dimension;
  return product;
}

}  // namespace retort
