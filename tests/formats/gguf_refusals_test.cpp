// Lying, cut and hostile GGUF files: each is a small valid file with one thing changed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <limits>

#include "formats/gguf.h"
#include "formats/temp_dir.h"

namespace retort {
namespace {

using ::testing::HasSubstr;
using testing::TempDir;

constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();

// Two keys, an array of strings, two tensors of whole 32 byte units: no byte of it is mere padding at the end.
std::string valid_file() {
  TempDir dir;
  const std::vector<float> matrix(16, 1.0f);
  const std::vector<uint8_t> blocks(16 * 34, 7);
  GgufWriter writer;
  writer.set("flag", true);
  writer.set("count", uint32_t{7});
  writer.set("general.alignment", uint32_t{32});
  writer.set_strings("words", {"alpha", "beta"});
  writer.add_tensor("matrix", TensorType::kF32, {2, 8}, testing::bytes_of(matrix));
  writer.add_tensor("blocks", TensorType::kQ8_0, {16, 32}, testing::bytes_of(blocks));
  EXPECT_TRUE(writer.write(dir / "a.gguf"));
  return testing::read_file(dir / "a.gguf");
}

Result<Gguf> parse(const std::string& bytes) { return Gguf::parse(testing::as_bytes(bytes), "bad.gguf"); }

// Where the bytes after `name` begin, the name being written with its length before it.
size_t after(const std::string& file, std::string_view name) {
  std::string wanted(8, '\0');
  wanted[0] = static_cast<char>(name.size());
  wanted += name;
  const size_t found = file.find(wanted);
  EXPECT_NE(found, std::string::npos) << name;
  return found + wanted.size();
}

template <class T>
void put(std::string& file, size_t position, T value) {
  ASSERT_LE(position + sizeof(T), file.size());
  std::memcpy(file.data() + position, &value, sizeof(T));
}

// A key is followed by u32 type and the value; a tensor's name by u32 dimensions, u64 each, u32 type, u64 offset.
constexpr size_t kValue = 4;
constexpr size_t kDimensions = 4;
constexpr size_t kType = 4 + 2 * 8;
constexpr size_t kOffset = kType + 4;

struct Refusal {
  const char* name;
  std::function<void(std::string&)> change;
  ErrorKind kind;
  const char* message;  // after "[gguf] bad.gguf: "; the beginning is enough
};

const Refusal kRefusals[] = {
    {"Empty", [](auto& f) { f.clear(); }, ErrorKind::kBadInput, "header: expected 4 bytes at offset 0, file holds 0"},
    {"Magic", [](auto& f) { f[0] = 'H'; }, ErrorKind::kBadInput, "header: expected the magic \"GGUF\", file holds 0x"},
    {"Version1", [](auto& f) { put(f, 4, 1u); }, ErrorKind::kUnsupported,
     "header: expected little-endian version 2 or 3, file holds 1"},
    {"BigEndian", [](auto& f) { put(f, 4, 0x03000000u); }, ErrorKind::kUnsupported,
     "header: expected little-endian version 2 or 3, file holds 50331648"},
    {"TensorCountOverLimit", [](auto& f) { put(f, 8, kHuge); }, ErrorKind::kTooLarge,
     "header: 18446744073709551615 tensors, the limit is 262144"},
    {"TensorCountOverFile", [](auto& f) { put(f, 8, uint64_t{200000}); }, ErrorKind::kBadInput,
     "tensor list: expected 200000 items of at least 32 bytes, file holds "},
    {"KeyCountOverLimit", [](auto& f) { put(f, 16, kHuge); }, ErrorKind::kTooLarge,
     "header: 18446744073709551615 keys, the limit is 65536"},
    {"KeyCountOverFile", [](auto& f) { put(f, 16, uint64_t{5000}); }, ErrorKind::kBadInput,
     "header: expected 5000 items of at least 13 bytes, file holds "},
    {"KeyLengthOverLimit", [](auto& f) { put(f, 24, kHuge); }, ErrorKind::kTooLarge,
     "key 1 of 4: string of 18446744073709551615 bytes, the limit is 65535"},
    {"KeyLengthOverFile", [](auto& f) { put(f, 24, uint64_t{60000}); }, ErrorKind::kBadInput,
     "key 1 of 4: expected 60000 bytes of string at offset 32, file holds "},
    {"KeyWithoutName", [](auto& f) { f.replace(24, 12, 8, '\0'); }, ErrorKind::kBadInput,
     "key : expected a name, file holds an empty one"},
    {"KeyTwice", [](auto& f) { f.replace(f.find("count"), 5, "words"); }, ErrorKind::kBadInput,
     "key words: expected once, file holds it twice"},
    {"ValueType", [](auto& f) { put(f, after(f, "count"), 13u); }, ErrorKind::kBadInput,
     "key count: value type 13, expected 0 to 12"},
    {"BoolOfTwo", [](auto& f) { f[after(f, "flag") + kValue] = 2; }, ErrorKind::kBadInput,
     "key flag: expected a bool of 0 or 1, file holds 2"},
    {"ArrayType", [](auto& f) { put(f, after(f, "words") + kValue, 99u); }, ErrorKind::kBadInput,
     "key words: array of value type 99, expected 0 to 12"},
    {"ArrayOfStringsOverFile", [](auto& f) { put(f, after(f, "words") + kValue + 4, kHuge / 8); }, ErrorKind::kBadInput,
     "key words: expected 2305843009213693951 items of at least 8 bytes, file holds "},
    {"ArrayOfNumbersOverFile",
     [](auto& f) {
       put(f, after(f, "words") + kValue, uint32_t{11});
       put(f, after(f, "words") + kValue + 4, kHuge / 8 + 2);  // times 8 it would wrap around to 8
     },
     ErrorKind::kBadInput, "key words: expected 2305843009213693953 items of at least 8 bytes, file holds "},
    {"StringInArrayOverFile", [](auto& f) { put(f, after(f, "words") + kValue + 12, uint64_t{100000}); },
     ErrorKind::kTooLarge, "key words: string of 100000 bytes, the limit is "},
    {"NestedTooDeep",
     [](auto& f) {
       std::string deep;
       for (int i = 0; i < 5; ++i) deep += std::string("\x09\0\0\0\x01\0\0\0\0\0\0\0", 12);
       f.insert(after(f, "words") + kValue, deep);
     },
     ErrorKind::kTooLarge, "key words: arrays nested deeper than the limit of 4"},
    {"AlignmentType", [](auto& f) { put(f, after(f, "general.alignment"), uint32_t{5}); }, ErrorKind::kBadInput,
     "key general.alignment: expected uint32, file holds int32"},
    {"AlignmentZero", [](auto& f) { put(f, after(f, "general.alignment") + kValue, 0u); }, ErrorKind::kBadInput,
     "key general.alignment: expected a power of two of at least 8, file holds 0"},
    {"AlignmentNoPower", [](auto& f) { put(f, after(f, "general.alignment") + kValue, 48u); }, ErrorKind::kBadInput,
     "key general.alignment: expected a power of two of at least 8, file holds 48"},
    {"AlignmentBeyondFile", [](auto& f) { put(f, after(f, "general.alignment") + kValue, 0x80000000u); },
     ErrorKind::kBadInput, "tensor blocks: expected an offset aligned to 2147483648, file holds 64"},
    {"TensorNameOverLimit", [](auto& f) { put(f, after(f, "matrix") - 14, uint64_t{65536}); }, ErrorKind::kTooLarge,
     "tensor 1 of 2: string of 65536 bytes, the limit is 65535"},
    {"TensorTwice", [](auto& f) { f.replace(f.find("blocks"), 6, "matrix"); }, ErrorKind::kBadInput,
     "tensor matrix: expected once, file holds it twice"},
    {"NoDimensions", [](auto& f) { put(f, after(f, "matrix"), 0u); }, ErrorKind::kBadInput,
     "tensor matrix: expected 1 to 4 dimensions, file holds 0"},
    {"FiveDimensions", [](auto& f) { put(f, after(f, "matrix"), 5u); }, ErrorKind::kBadInput,
     "tensor matrix: expected 1 to 4 dimensions, file holds 5"},
    {"DimensionOfZero", [](auto& f) { put(f, after(f, "matrix") + kDimensions, uint64_t{0}); }, ErrorKind::kBadInput,
     "tensor matrix: expected dimensions above 0, file holds 0"},
    {"BytesOverflow", [](auto& f) { put(f, after(f, "matrix") + kDimensions, kHuge / 4); }, ErrorKind::kBadInput,
     "tensor matrix: shape [2, 4611686018427387903] has more bytes than fit 64 bits"},
    {"BytesOverflowInRows",
     [](auto& f) {
       put(f, after(f, "matrix") + kDimensions, uint64_t{1} << 33);
       put(f, after(f, "matrix") + kDimensions + 8, uint64_t{1} << 33);
     },
     ErrorKind::kBadInput, "tensor matrix: shape [8589934592, 8589934592] has more bytes than fit 64 bits"},
    {"UnknownType", [](auto& f) { put(f, after(f, "matrix") + kType, 16u); }, ErrorKind::kUnsupported,
     "tensor matrix: tensor type 16; supported are F32 F16 "},
    {"RowsOfPartBlocks", [](auto& f) { put(f, after(f, "blocks") + kDimensions, uint64_t{33}); }, ErrorKind::kBadInput,
     "tensor blocks: expected rows of whole Q8_0 blocks of 32 elements, file holds rows of 33"},
    {"OffsetNotAligned", [](auto& f) { put(f, after(f, "blocks") + kOffset, uint64_t{65}); }, ErrorKind::kBadInput,
     "tensor blocks: expected an offset aligned to 32, file holds 65"},
    {"OffsetBeyondFile", [](auto& f) { put(f, after(f, "blocks") + kOffset, kHuge - 31); }, ErrorKind::kBadInput,
     "tensor blocks: expected 544 bytes at offset 18446744073709551584 of the data, file holds 608 bytes of data"},
    {"DataBeyondFile", [](auto& f) { put(f, after(f, "blocks") + kOffset, uint64_t{96}); }, ErrorKind::kBadInput,
     "tensor blocks: expected 544 bytes at offset 96 of the data, file holds 608 bytes of data"},
    {"Overlap", [](auto& f) { put(f, after(f, "blocks") + kOffset, uint64_t{32}); }, ErrorKind::kBadInput,
     "tensor blocks: expected its data after that of tensor matrix, which ends at 64, file holds 32"},
    {"HostileName", [](auto& f) { f.replace(f.find("flag"), 5, "\x1b[2J\x0d"); }, ErrorKind::kBadInput,
     "key \\x1b[2J: "},
};

void PrintTo(const Refusal& refusal, std::ostream* out) { *out << refusal.name; }

class GgufRefuses : public ::testing::TestWithParam<Refusal> {};

TEST_P(GgufRefuses, AndSaysWhatItFound) {
  std::string file = valid_file();
  ASSERT_TRUE(parse(file));
  GetParam().change(file);
  const auto result = parse(file);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, ::testing::StartsWith(std::string("[gguf] bad.gguf: ") + GetParam().message));
  EXPECT_EQ(result.error().kind, GetParam().kind);
}

INSTANTIATE_TEST_SUITE_P(, GgufRefuses, ::testing::ValuesIn(kRefusals),
                         [](const auto& info) { return info.param.name; });

TEST(GgufRefusals, EveryCutIsAnError) {
  const std::string file = valid_file();
  for (size_t size = 0; size < file.size(); ++size) ASSERT_FALSE(parse(file.substr(0, size))) << size;
}

TEST(GgufRefusals, NoChangeOfOneByteReachesOutsideTheFile) {
  const std::string valid = valid_file();
  const size_t header_size = valid.size() - 608;
  for (size_t i = 0; i < header_size; ++i) {
    for (int byte : {0x00, 0x01, 0x20, 0x7f, 0x80, 0xff}) {
      std::string file = valid;
      file[i] = static_cast<char>(byte);
      const auto result = parse(file);
      if (!result) continue;
      const auto bytes = testing::as_bytes(file);
      for (const TensorView& tensor : result->tensors()) {
        ASSERT_GE(tensor.data.data(), bytes.data());
        ASSERT_LE(tensor.data.data() + tensor.data.size(), bytes.data() + bytes.size());
        const TensorTypeInfo& info = info_of(tensor.type);
        ASSERT_EQ(tensor.data.size(), tensor.num_elements() / info.block_elements * info.block_bytes);
      }
    }
  }
}

TEST(GgufRefusals, Version2IsRead) {
  std::string file = valid_file();
  put(file, 4, 2u);
  const auto result = parse(file);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->version(), 2u);
  EXPECT_EQ(result->tensors().size(), 2u);
}

TEST(GgufRefusals, WithoutTensorsTheFileMayEndBeforeTheData) {
  TempDir dir;
  GgufWriter writer;
  writer.set("key", uint8_t{1});
  ASSERT_TRUE(writer.write(dir / "a.gguf"));
  std::string file = testing::read_file(dir / "a.gguf");
  file.resize(24 + 8 + 3 + 4 + 1);
  EXPECT_TRUE(parse(file));
}

}  // namespace
}  // namespace retort
