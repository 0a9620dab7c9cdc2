#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/codecs.h"
#include "formats/hf_folder.h"
#include "formats/safetensors_bytes.h"
#include "formats/temp_dir.h"

namespace retort {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::safetensors_bytes;

std::vector<float> floats_of(const TensorView& tensor) {
  std::vector<float> floats(tensor.num_elements());
  dequantize(tensor.type, tensor.data, floats);
  return floats;
}

TEST(Safetensors, WhatPythonsSafetensorsWroteIsRead) {
  const std::string file = testing::read_file(std::string(RETORT_TEST_DATA) + "/golden.safetensors");
  const auto tensors = parse_safetensors(testing::as_bytes(file), "golden");
  ASSERT_TRUE(tensors) << tensors.error().message;
  std::map<std::string, TensorView> by_name;
  for (const TensorView& tensor : *tensors) by_name[tensor.name] = tensor;
  ASSERT_EQ(by_name.size(), 5u);
  EXPECT_EQ(by_name["model.f32"].type, TensorType::kF32);
  EXPECT_THAT(by_name["model.f32"].shape, ElementsAre(2, 3));
  EXPECT_THAT(floats_of(by_name["model.f32"]), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ(by_name["model.f16"].type, TensorType::kF16);
  EXPECT_THAT(by_name["model.f16"].shape, ElementsAre(1, 2, 2));
  EXPECT_THAT(floats_of(by_name["model.f16"]), ElementsAre(0.5f, -0.5f, 65504.0f, 0.0f));
  EXPECT_EQ(by_name["model.bf16"].type, TensorType::kBF16);
  EXPECT_THAT(floats_of(by_name["model.bf16"]), ElementsAre(1, -2, 3));
  EXPECT_THAT(by_name["model.scalar"].shape, IsEmpty());
  EXPECT_THAT(floats_of(by_name["model.scalar"]), ElementsAre(7.5f));
  EXPECT_THAT(by_name["model.empty"].shape, ElementsAre(0, 4));
  EXPECT_THAT(floats_of(by_name["model.empty"]), IsEmpty());
}

struct Refusal {
  const char* name;
  const char* header;
  size_t data_size;
  ErrorKind kind;
  const char* message;  // after "[safetensors] bad: "; the beginning is enough
};

void PrintTo(const Refusal& refusal, std::ostream* out) { *out << refusal.name; }

const Refusal kRefusals[] = {
    {"NoJson", "{nonsense", 0, ErrorKind::kBadInput,
     "expected JSON, file holds no JSON: parse error at line 1, column 3"},
    {"NoObject", "[]", 0, ErrorKind::kBadInput, "expected a JSON object, file holds array"},
    {"TooDeep", R"({"a":{"shape":[[[0]]]}})", 0, ErrorKind::kBadInput,
     "expected JSON, file holds nesting deeper than the limit of 4"},
    {"TensorTwice",
     R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
     4, ErrorKind::kBadInput, "expected JSON, file holds key a twice"},
    {"NoTensorObject", R"({"a":7})", 0, ErrorKind::kBadInput, "tensor a: expected an object, file holds number"},
    {"NoDtype", R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4, ErrorKind::kBadInput,
     "tensor a: expected dtype, file has none"},
    {"DtypeNoString", R"({"a":{"dtype":1,"shape":[1],"data_offsets":[0,4]}})", 4, ErrorKind::kBadInput,
     "tensor a: expected dtype as a string"},
    {"UnsupportedDtype", R"({"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}})", 8, ErrorKind::kUnsupported,
     "tensor a: dtype I64; supported are F32 F16 BF16"},
    {"NoShape", R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4, ErrorKind::kBadInput,
     "tensor a: expected shape, file has none"},
    {"NegativeShape", R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, ErrorKind::kBadInput,
     "tensor a: expected shape as an array of at most 8 integers from 0"},
    {"FractionalShape", R"({"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", 4, ErrorKind::kBadInput,
     "tensor a: expected shape as an array of at most 8 integers from 0"},
    {"ShapeOfNine", R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})", 4,
     ErrorKind::kBadInput, "tensor a: expected shape as an array of at most 8 integers from 0"},
    {"ShapeOverflow", R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
     ErrorKind::kBadInput, "tensor a: shape [4294967296, 4294967296] has more bytes than fit 64 bits"},
    {"ShapeAboveBytes", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4, ErrorKind::kBadInput,
     "tensor a: expected 8 bytes for shape [2], file holds 4"},
    {"OneOffset", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4, ErrorKind::kBadInput,
     "tensor a: expected data_offsets of begin and end within 4 bytes, file holds [0]"},
    {"OffsetsReversed", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, ErrorKind::kBadInput,
     "tensor a: expected data_offsets of begin and end within 4 bytes, file holds [4, 0]"},
    {"OffsetsBeyondFile", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4, ErrorKind::kBadInput,
     "tensor a: expected data_offsets of begin and end within 4 bytes, file holds [0, 8]"},
    {"Overlap",
     R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
     12, ErrorKind::kBadInput, "tensor b: expected its data where the last ends, at 8, file holds 4"},
    {"Hole",
     R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
     12, ErrorKind::kBadInput, "tensor b: expected its data where the last ends, at 4, file holds 8"},
    {"DataAfterTheLast", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 5, ErrorKind::kBadInput,
     "expected 4 bytes of data, file holds 5"},
};

class SafetensorsRefuses : public ::testing::TestWithParam<Refusal> {};

TEST_P(SafetensorsRefuses, AndSaysWhatItFound) {
  const std::string file = safetensors_bytes(GetParam().header, GetParam().data_size);
  const auto result = parse_safetensors(testing::as_bytes(file), "bad");
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, ::testing::StartsWith(std::string("[safetensors] bad: ") + GetParam().message));
  EXPECT_EQ(result.error().kind, GetParam().kind);
}

INSTANTIATE_TEST_SUITE_P(, SafetensorsRefuses, ::testing::ValuesIn(kRefusals),
                         [](const auto& info) { return info.param.name; });

TEST(SafetensorsRefusals, EveryCutIsAnError) {
  const std::string file = safetensors_bytes(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4);
  ASSERT_TRUE(parse_safetensors(testing::as_bytes(file), "whole"));
  for (size_t size = 0; size < file.size(); ++size) {
    ASSERT_FALSE(parse_safetensors(testing::as_bytes(std::string_view(file).substr(0, size)), "cut")) << size;
  }
}

TEST(SafetensorsRefusals, AHeaderOverTheLimitIsNotParsed) {
  const std::string file = safetensors_bytes(std::string((32 << 20) + 1, ' '), 0);
  const auto result = parse_safetensors(testing::as_bytes(file), "bad");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message, "[safetensors] bad: 33554433 bytes of JSON, the limit is 33554432");
}

}  // namespace
}  // namespace retort
