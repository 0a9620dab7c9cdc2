#include "base/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

namespace retort {
namespace {

std::filesystem::path write_temporary(const std::string& name, const std::string& content) {
  const auto path = std::filesystem::path(testing::TempDir()) / name;
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

std::string text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

TEST(MappedFile, HoldsTheFilesBytes) {
  const auto file = MappedFile::open(write_temporary("mapped", "hello"));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(text_of(*file), "hello");
}

TEST(MappedFile, DoesNotWaitForAWriter) {
  const auto path = std::filesystem::path(testing::TempDir()) / "mapped_pipe";
  std::filesystem::remove(path);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_THAT(MappedFile::open(path).error().message, testing::HasSubstr("expected a regular file"));
  std::filesystem::remove(path);
}

TEST(MappedFile, MovesAndReleases) {
  const std::string content(100000, 'x');
  auto first = MappedFile::open(write_temporary("moved", content)).value();
  MappedFile second = std::move(first);
  EXPECT_TRUE(first.bytes().empty());
  second.release(second.bytes().subspan(10, 50000));
  EXPECT_EQ(text_of(second), content);  // released pages come back from the file
  first = std::move(second);
  EXPECT_EQ(text_of(first), content);
}

TEST(MappedFile, AnEmptyFileIsAnEmptySpan) {
  const auto file = MappedFile::open(write_temporary("empty", ""));
  ASSERT_TRUE(file);
  EXPECT_TRUE(file->bytes().empty());
}

TEST(MappedFile, SaysWhatIsWrong) {
  const auto missing = MappedFile::open("/nonexistent/model.gguf");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::kNotFound);
  EXPECT_THAT(missing.error().message, testing::HasSubstr("/nonexistent/model.gguf: No such file"));
  const auto folder = MappedFile::open(testing::TempDir());
  ASSERT_FALSE(folder);
  EXPECT_THAT(folder.error().message, testing::HasSubstr("expected a regular file"));
}

}  // namespace
}  // namespace retort
