#include "kernels/matmul_problem.h"

#include <cstring>
#include <random>

#include "formats/codecs.h"

namespace retort {
namespace {

// Random blocks of a type: random bytes, or in each block one of `fills` throughout, but every half-precision field a
// sane scale.
std::vector<std::byte> random_blocks(TensorType type, size_t num_blocks, std::mt19937& rng,
                                     const std::vector<int>& fills = {}) {
  const auto& info = info_of(type);
  std::vector<std::byte> bytes(num_blocks * info.block_bytes);
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (fills.empty())
      bytes[i] = static_cast<std::byte>(rng());
    else
      bytes[i] = i % info.block_bytes != 0 ? bytes[i - 1] : static_cast<std::byte>(fills[rng() % fills.size()]);
  }
  const auto put = [&](size_t block, size_t offset) {
    const uint16_t half = f32_to_f16(std::uniform_real_distribution<float>(-0.02f, 0.02f)(rng));
    std::memcpy(bytes.data() + block * info.block_bytes + offset, &half, 2);
  };
  for (size_t i = 0; i < num_blocks; ++i) {
    switch (type) {
      case TensorType::kQ4_1:
      case TensorType::kQ5_1:
      case TensorType::kQ4_K:
      case TensorType::kQ5_K:
        put(i, 0);
        put(i, 2);
        break;
      case TensorType::kQ2_K:
        put(i, 80);
        put(i, 82);
        break;
      case TensorType::kQ3_K:
        put(i, 108);
        break;
      case TensorType::kQ6_K:
        put(i, 208);
        break;
      case TensorType::kF16:
        put(i, 0);
        break;
      case TensorType::kBF16: {
        const uint16_t bits = f32_to_bf16(std::normal_distribution<float>(0, 0.02f)(rng));
        std::memcpy(bytes.data() + i * 2, &bits, 2);
        break;
      }
      case TensorType::kF32: {
        const float value = std::normal_distribution<float>(0, 0.02f)(rng);
        std::memcpy(bytes.data() + i * 4, &value, 4);
        break;
      }
      default:
        put(i, 0);
    }
  }
  return bytes;
}

}  // namespace

std::vector<TensorType> every_type() {
  std::vector<TensorType> types;
  for (const auto& info : tensor_types()) types.push_back(info.type);
  return types;
}

std::string name_of_type(const testing::TestParamInfo<TensorType>& info) {
  return std::string(info_of(info.param).name);
}

Problem make_problem(TensorType type, int64_t outputs, int64_t inputs, int64_t rows, unsigned seed) {
  std::mt19937 rng(seed);
  Problem p;
  const auto& info = info_of(type);
  p.bytes = random_blocks(type, static_cast<size_t>(outputs * inputs) / info.block_elements, rng);
  p.tensor = {"w", type, {static_cast<uint64_t>(outputs), static_cast<uint64_t>(inputs)}, p.bytes};
  p.weight.resize(static_cast<size_t>(outputs * inputs));
  dequantize(type, p.bytes, p.weight);
  std::normal_distribution<float> normal;
  p.input.resize(static_cast<size_t>(rows * inputs));
  for (auto& x : p.input) x = normal(rng) * (rng() % 50 == 0 ? 20.0f : 1.0f);
  return p;
}

Problem make_extreme_problem(TensorType type, int64_t outputs, int64_t inputs, int64_t rows) {
  std::mt19937 rng(3);
  Problem p = make_problem(type, outputs, inputs, rows, 3);
  p.bytes = random_blocks(type, p.bytes.size() / info_of(type).block_bytes, rng, {0x00, 0xff, 0x7f, 0x80});
  p.tensor.data = p.bytes;
  for (size_t i = 0; i < p.input.size(); ++i)
    p.input[i] = i % 16 == 0 || i % 80 == 3 ? (rng() % 2 ? 2.0f : -2.0f) : p.input[i - 1];
  return p;
}

}  // namespace retort
