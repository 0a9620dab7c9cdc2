// Models split into several files, as llama.cpp's gguf-split writes them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/gguf.h"
#include "formats/temp_dir.h"

namespace retort {
namespace {

using ::testing::HasSubstr;
using testing::TempDir;

struct Part {
  uint16_t no;
  uint16_t count = 3;
  std::string tensor;
  int32_t num_tensors = 3;
};

void write_part(const std::filesystem::path& path, const Part& part) {
  const std::vector<float> numbers(8, static_cast<float>(part.no));
  GgufWriter writer;
  if (part.no == 0) writer.set("general.architecture", std::string("qwen2"));
  writer.set("split.no", part.no);
  writer.set("split.count", part.count);
  writer.set("split.tensors.count", part.num_tensors);
  writer.add_tensor(part.tensor, TensorType::kF32, {8}, testing::bytes_of(numbers));
  ASSERT_TRUE(writer.write(path));
}

void write_model(const TempDir& dir) {
  write_part(dir / "m-00001-of-00003.gguf", {.no = 0, .tensor = "a"});
  write_part(dir / "m-00002-of-00003.gguf", {.no = 1, .tensor = "b"});
  write_part(dir / "m-00003-of-00003.gguf", {.no = 2, .tensor = "c"});
}

Error error_of(const std::filesystem::path& path) {
  const auto file = Gguf::open(path);
  EXPECT_FALSE(file);
  return file ? Error{} : file.error();
}

TEST(GgufSplit, AllPartsAreOneModel) {
  TempDir dir;
  write_model(dir);
  const auto file = Gguf::open(dir / "m-00001-of-00003.gguf");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->get_string("general.architecture").value(), "qwen2");
  uint64_t num_bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(dir.path())) num_bytes += entry.file_size();
  EXPECT_EQ(file->file_bytes(), num_bytes);
  ASSERT_EQ(file->tensors().size(), 3u);
  for (int i = 0; i < 3; ++i) {
    const TensorView* tensor = file->find_tensor(std::string(1, static_cast<char>('a' + i)));
    ASSERT_NE(tensor, nullptr);
    EXPECT_EQ(reinterpret_cast<const float*>(tensor->data.data())[7], static_cast<float>(i));
    file->release(*tensor);
  }
}

TEST(GgufSplit, OnePartSaysWhichToOpen) {
  TempDir dir;
  write_model(dir);
  EXPECT_EQ(error_of(dir / "m-00002-of-00003.gguf").message,
            "[gguf] m-00002-of-00003.gguf: part 2 of 3; open the first, by a name that ends with -00001-of-00003.gguf");
  std::filesystem::rename(dir / "m-00001-of-00003.gguf", dir / "renamed.gguf");
  EXPECT_THAT(error_of(dir / "renamed.gguf").message,
              HasSubstr("part 1 of 3; open the first, by a name that ends with"));
}

TEST(GgufSplit, AMissingPartIsNamed) {
  TempDir dir;
  write_model(dir);
  std::filesystem::remove(dir / "m-00003-of-00003.gguf");
  const Error error = error_of(dir / "m-00001-of-00003.gguf");
  EXPECT_EQ(error.kind, ErrorKind::kNotFound);
  EXPECT_THAT(error.message, HasSubstr("m-00003-of-00003.gguf"));
}

TEST(GgufSplit, PartsOfAnotherModelAreRefused) {
  TempDir dir;
  const auto second = dir / "m-00002-of-00003.gguf";
  const auto first = dir / "m-00001-of-00003.gguf";
  write_model(dir);
  write_part(second, {.no = 2, .tensor = "b"});
  EXPECT_EQ(error_of(first).message, "[gguf] m-00002-of-00003.gguf: expected split.no 1 of 3, file holds 2 of 3");
  write_part(second, {.no = 1, .count = 4, .tensor = "b"});
  EXPECT_THAT(error_of(first).message, HasSubstr("expected split.no 1 of 3, file holds 1 of 4"));
  write_part(second, {.no = 1, .tensor = "a"});
  EXPECT_EQ(error_of(first).message,
            "[gguf] m-00002-of-00003.gguf: tensor a: expected once, an earlier file holds it too");
  write_model(dir);
  write_part(first, {.no = 0, .tensor = "a", .num_tensors = 4});
  EXPECT_EQ(error_of(first).message, "[gguf] m-00001-of-00003.gguf: expected 4 tensors in 3 parts, files hold 3");
}

}  // namespace
}  // namespace retort
