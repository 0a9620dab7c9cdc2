// Held bit for bit against PyPI's gguf and numpy: data/codec_goldens.bin, written by data/make_codec_goldens.py.
#include "formats/codecs.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>
#include <string>

#include "formats/temp_dir.h"

namespace retort {
namespace {

constexpr uint32_t kRoundings = 0xffffffff;

// Reads the golden file forward; a read past its end fails the test and gives zeros.
class Goldens {
 public:
  Goldens() : bytes_(testing::read_file(std::string(RETORT_TEST_DATA) + "/codec_goldens.bin")) {}
  bool at_end() const { return position_ >= bytes_.size(); }

  template <class T>
  std::vector<T> take(size_t count) {
    std::vector<T> items(count);
    if (position_ + count * sizeof(T) > bytes_.size()) {
      ADD_FAILURE() << "codec_goldens.bin is cut short";
      position_ = bytes_.size();
      return items;
    }
    if (count > 0) std::memcpy(items.data(), bytes_.data() + position_, count * sizeof(T));
    position_ += count * sizeof(T);
    return items;
  }

 private:
  std::string bytes_;
  size_t position_ = 0;
};

void expect_same_bits(std::span<const float> actual, std::span<const float> expected, std::string_view name) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_EQ(std::bit_cast<uint32_t>(actual[i]), std::bit_cast<uint32_t>(expected[i]))
        << name << " element " << i << ": " << actual[i] << ", expected " << expected[i];
  }
}

TEST(Codecs, EveryTypeGivesTheBitsOfGguf) {
  Goldens goldens;
  std::set<TensorType> seen;
  while (!goldens.at_end()) {
    const auto head = goldens.take<uint32_t>(2);
    if (head[0] == kRoundings) break;
    const TensorTypeInfo* info = find_tensor_type(head[0]);
    ASSERT_NE(info, nullptr) << "type " << head[0];
    const auto blocks = goldens.take<uint8_t>(size_t{head[1]} * info->block_bytes);
    const auto expected = goldens.take<float>(size_t{head[1]} * info->block_elements);
    std::vector<float> actual(expected.size());
    dequantize(info->type, testing::bytes_of(blocks), actual);
    expect_same_bits(actual, expected, info->name);
    seen.insert(info->type);
  }
  EXPECT_EQ(seen.size(), tensor_types().size());
}

TEST(Codecs, RoundingIsNumpys) {
  Goldens goldens;
  auto head = goldens.take<uint32_t>(2);
  while (head[0] != kRoundings) {
    const TensorTypeInfo* info = find_tensor_type(head[0]);
    ASSERT_NE(info, nullptr);
    goldens.take<uint8_t>(size_t{head[1]} * (info->block_bytes + 4 * info->block_elements));
    head = goldens.take<uint32_t>(2);
  }
  const auto floats = goldens.take<float>(head[1]);
  const auto halves = goldens.take<uint16_t>(head[1]);
  const auto brains = goldens.take<uint16_t>(head[1]);
  EXPECT_TRUE(goldens.at_end());
  EXPECT_GT(floats.size(), 4000u);
  for (size_t i = 0; i < floats.size(); ++i) {
    ASSERT_EQ(f32_to_f16(floats[i]), halves[i]) << floats[i];
    ASSERT_EQ(f32_to_bf16(floats[i]), brains[i]) << floats[i];
  }
}

TEST(Codecs, EveryHalfIsWhatItsDefinitionSays) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const int exponent = bits >> 10 & 0x1f;
    const int mantissa = bits & 0x3ff;
    const float actual = f16_to_f32(static_cast<uint16_t>(bits));
    if (exponent == 31 && mantissa != 0) {
      ASSERT_TRUE(std::isnan(actual)) << bits;
      ASSERT_TRUE(std::isnan(f16_to_f32(f32_to_f16(actual)))) << bits;
      continue;
    }
    float expected = exponent == 31  ? std::numeric_limits<float>::infinity()
                     : exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -24)
                                     : std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
    if (bits & 0x8000) expected = -expected;
    ASSERT_EQ(std::bit_cast<uint32_t>(actual), std::bit_cast<uint32_t>(expected)) << bits;
    ASSERT_EQ(f32_to_f16(actual), bits);
  }
}

TEST(Codecs, BrainFloatsComeBackAndNanStaysNan) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = bf16_to_f32(static_cast<uint16_t>(bits));
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(value)))) << bits;
    } else {
      ASSERT_EQ(f32_to_bf16(value), bits);
    }
  }
  // A NaN whose payload lies only in the bits that are dropped.
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::bit_cast<float>(0x7f800001u)))));
}

TEST(Codecs, NothingOutOfNothing) { dequantize(TensorType::kQ4_K, {}, {}); }

TEST(CodecsDeathTest, SizesThatDoNotFitEndTheProcess) {
  const std::vector<uint8_t> block(18);
  std::vector<float> out(32);
  EXPECT_DEATH(dequantize(TensorType::kQ8_0, testing::bytes_of(block), out), "in.size");
  EXPECT_DEATH(dequantize(TensorType::kQ4_0, testing::bytes_of(block), std::span(out).first(31)), "out.size");
}

TEST(TensorTypes, NamesAndNumbersFindTheSame) {
  for (const TensorTypeInfo& info : tensor_types()) {
    EXPECT_EQ(find_tensor_type(static_cast<uint32_t>(info.type)), &info);
    EXPECT_EQ(tensor_type_from_name(info.name), info.type);
  }
  EXPECT_EQ(find_tensor_type(4), nullptr);  // Q4_2, long removed
  EXPECT_EQ(tensor_type_from_name("Q4_2"), std::nullopt);
}

}  // namespace
}  // namespace retort
