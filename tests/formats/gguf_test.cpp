#include "formats/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <memory>

#include "formats/codecs.h"
#include "formats/temp_dir.h"

namespace retort {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TempDir;
using testing::write_file;

template <class T>
GgufValue array_of(std::vector<T> items) {
  return std::make_shared<const GgufArray>(GgufArray{std::move(items)});
}

// One key of every type, with a value that no other type would read alike.
void set_every_type(GgufWriter& writer) {
  writer.set("a.u8", uint8_t{200});
  writer.set("a.i8", int8_t{-100});
  writer.set("a.u16", uint16_t{60000});
  writer.set("a.i16", int16_t{-30000});
  writer.set("a.u32", uint32_t{4000000000});
  writer.set("a.i32", int32_t{-2000000000});
  writer.set("a.f32", 1.5f);
  writer.set("a.bool", true);
  writer.set("a.string", std::string("Grüße\0!", 9));
  writer.set("a.u64", std::numeric_limits<uint64_t>::max());
  writer.set("a.i64", std::numeric_limits<int64_t>::min());
  writer.set("a.f64", -2.25);
  writer.set("b.u8", array_of<uint8_t>({1, 2, 255}));
  writer.set("b.i8", array_of<int8_t>({-1, 2}));
  writer.set("b.u16", array_of<uint16_t>({1, 65535}));
  writer.set("b.i16", array_of<int16_t>({-1, 32767}));
  writer.set("b.u32", array_of<uint32_t>({1, 4000000000}));
  writer.set("b.i32", array_of<int32_t>({-5, 7}));
  writer.set("b.f32", array_of<float>({0.5f, -0.25f}));
  writer.set("b.bool", array_of<bool>({true, false, true}));
  writer.set_strings("b.string", {"", "one", "two"});
  writer.set("b.u64", array_of<uint64_t>({1, 2}));
  writer.set("b.i64", array_of<int64_t>({-1, 2}));
  writer.set("b.f64", array_of<double>({0.125}));
  const auto inner = std::get<std::shared_ptr<const GgufArray>>(array_of<std::string>({"x", "y"}));
  writer.set("b.nested", array_of<std::shared_ptr<const GgufArray>>({inner, inner}));
}

Gguf open_ok(const std::filesystem::path& path) {
  auto file = Gguf::open(path);
  if (!file) ADD_FAILURE() << file.error().message;
  return file ? std::move(*file) : Gguf();
}

// What set_every_type() has set, and data/make_gguf_golden.py.
void expect_every_type(const Gguf& file) {
  EXPECT_EQ(file.version(), 3u);
  EXPECT_EQ(file.get_uint("a.u8").value(), 200u);
  EXPECT_EQ(file.get_int("a.i8").value(), -100);
  EXPECT_EQ(file.get_uint("a.u16").value(), 60000u);
  EXPECT_EQ(file.get_int("a.i16").value(), -30000);
  EXPECT_EQ(file.get_uint("a.u32").value(), 4000000000u);
  EXPECT_EQ(file.get_int("a.i32").value(), -2000000000);
  EXPECT_EQ(file.get_float("a.f32").value(), 1.5);
  EXPECT_TRUE(file.get_bool("a.bool").value());
  EXPECT_EQ(file.get_string("a.string").value(), std::string("Grüße\0!", 9));
  EXPECT_EQ(file.get_uint("a.u64").value(), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(file.get_int("a.i64").value(), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(file.get_float("a.f64").value(), -2.25);
  EXPECT_THAT(file.get_ints("b.u8").value(), ElementsAre(1, 2, 255));
  EXPECT_THAT(file.get_ints("b.i8").value(), ElementsAre(-1, 2));
  EXPECT_THAT(file.get_ints("b.u16").value(), ElementsAre(1, 65535));
  EXPECT_THAT(file.get_ints("b.i16").value(), ElementsAre(-1, 32767));
  EXPECT_THAT(file.get_ints("b.u32").value(), ElementsAre(1, 4000000000));
  EXPECT_THAT(file.get_ints("b.i32").value(), ElementsAre(-5, 7));
  EXPECT_THAT(file.get_floats("b.f32").value(), ElementsAre(0.5f, -0.25f));
  EXPECT_THAT(file.get_strings("b.string").value(), ElementsAre("", "one", "two"));
  EXPECT_THAT(file.get_ints("b.u64").value(), ElementsAre(1, 2));
  EXPECT_THAT(file.get_ints("b.i64").value(), ElementsAre(-1, 2));

  const auto items = [&](std::string_view key) -> const auto& {
    return std::get<std::shared_ptr<const GgufArray>>(file.metadata().find(key)->second)->items;
  };
  EXPECT_THAT(std::get<std::vector<bool>>(items("b.bool")), ElementsAre(true, false, true));
  EXPECT_THAT(std::get<std::vector<double>>(items("b.f64")), ElementsAre(0.125));
  const auto& nested = std::get<std::vector<std::shared_ptr<const GgufArray>>>(items("b.nested"));
  ASSERT_EQ(nested.size(), 2u);
  EXPECT_THAT(std::get<std::vector<std::string>>(nested[1]->items), ElementsAre("x", "y"));
}

TEST(Gguf, EveryMetadataTypeComesBack) {
  TempDir dir;
  GgufWriter writer;
  set_every_type(writer);
  writer.set("b.empty", array_of<float>({}));
  ASSERT_TRUE(writer.write(dir / "a.gguf"));
  const Gguf file = open_ok(dir / "a.gguf");
  EXPECT_EQ(file.metadata().size(), 26u);
  expect_every_type(file);
  EXPECT_TRUE(file.get_floats("b.empty").value().empty());
}

const std::string kGolden = std::string(RETORT_TEST_DATA) + "/every_type.gguf";

TEST(Gguf, WhatPythonsGgufWroteIsRead) {
  const Gguf file = open_ok(kGolden);
  EXPECT_EQ(file.get_string("general.architecture").value(), "none");
  EXPECT_EQ(file.metadata().size(), 27u);
  expect_every_type(file);
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(file.tensors()[0].name, "matrix");
  EXPECT_THAT(file.tensors()[0].shape, ElementsAre(2, 3));
  std::vector<float> numbers(6);
  dequantize(file.tensors()[0].type, file.tensors()[0].data, numbers);
  EXPECT_THAT(numbers, ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ(file.tensors()[1].type, TensorType::kQ8_0);
  EXPECT_THAT(file.tensors()[1].shape, ElementsAre(2, 32));
}

TEST(GgufWriter, WritesTheBytesThatPythonsGgufWrites) {
  TempDir dir;
  const std::vector<float> matrix = {1, 2, 3, 4, 5, 6};
  const std::vector<uint8_t> blocks(2 * 34, 7);
  GgufWriter writer;
  writer.set("general.architecture", std::string("none"));
  writer.set("general.alignment", uint32_t{64});
  set_every_type(writer);
  writer.add_tensor("matrix", TensorType::kF32, {2, 3}, testing::bytes_of(matrix));
  writer.add_tensor("blocks", TensorType::kQ8_0, {2, 32}, testing::bytes_of(blocks));
  ASSERT_TRUE(writer.write(dir / "a.gguf"));
  EXPECT_EQ(testing::read_file(dir / "a.gguf"), testing::read_file(kGolden));
  EXPECT_FALSE(std::filesystem::exists(dir / "a.gguf.part"));
}

TEST(Gguf, TensorsComeBackOutermostFirstAndAligned) {
  for (uint32_t alignment : {8u, 32u, 4096u}) {
    TempDir dir;
    const std::vector<float> matrix = {1, 2, 3, 4, 5, 6};
    const std::vector<uint8_t> blocks(2 * 34, 7);
    GgufWriter writer;
    if (alignment != 32) writer.set("general.alignment", alignment);
    writer.add_tensor("matrix", TensorType::kF32, {2, 3}, testing::bytes_of(matrix));
    writer.add_tensor("blocks", TensorType::kQ8_0, {2, 32}, testing::bytes_of(blocks));
    ASSERT_TRUE(writer.write(dir / "a.gguf"));

    const Gguf file = open_ok(dir / "a.gguf");
    EXPECT_EQ(file.file_bytes(), std::filesystem::file_size(dir / "a.gguf"));
    ASSERT_EQ(file.tensors().size(), 2u);
    EXPECT_EQ(file.tensors()[0].name, "matrix");
    EXPECT_THAT(file.tensors()[0].shape, ElementsAre(2, 3));
    EXPECT_EQ(file.find_tensor("nothing"), nullptr);
    const TensorView* found = file.find_tensor("blocks");
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->type, TensorType::kQ8_0);
    EXPECT_EQ(found->num_elements(), 64u);
    for (const TensorView& tensor : file.tensors()) {
      EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data.data()) % alignment, 0u);
      file.release(tensor);  // the pages come back from the file when read again
    }
    EXPECT_TRUE(std::ranges::equal(found->data, testing::bytes_of(blocks)));
    EXPECT_TRUE(std::ranges::equal(file.tensors()[0].data, testing::bytes_of(matrix)));
  }
}

TEST(Gguf, LookUpsNameTheKeyAndBothTypes) {
  TempDir dir;
  GgufWriter writer;
  set_every_type(writer);
  ASSERT_TRUE(writer.write(dir / "a.gguf"));
  const Gguf file = open_ok(dir / "a.gguf");

  EXPECT_EQ(file.get_uint("gone").error().message,
            "[gguf] a.gguf: key gone: expected an integer from 0, file has no such key");
  EXPECT_EQ(file.get_uint("a.i8").error().message,
            "[gguf] a.gguf: key a.i8: expected an integer from 0, file holds -100");
  EXPECT_EQ(file.get_uint("a.bool").error().message,
            "[gguf] a.gguf: key a.bool: expected an integer from 0, file holds bool");
  EXPECT_THAT(file.get_int("a.u64").error().message, HasSubstr("file holds 18446744073709551615"));
  EXPECT_EQ(file.get_float("a.u8").error().message,
            "[gguf] a.gguf: key a.u8: expected float32 or float64, file holds uint8");
  EXPECT_EQ(file.get_bool("a.u8").error().message, "[gguf] a.gguf: key a.u8: expected bool, file holds uint8");
  EXPECT_EQ(file.get_string("b.string").error().message,
            "[gguf] a.gguf: key b.string: expected string, file holds array of string");
  EXPECT_EQ(file.get_strings("b.i32").error().message,
            "[gguf] a.gguf: key b.i32: expected array of string, file holds array of int32");
  EXPECT_EQ(file.get_ints("b.f32").error().message,
            "[gguf] a.gguf: key b.f32: expected array of integers, file holds array of float32");
  EXPECT_FALSE(file.get_ints("b.bool"));
  EXPECT_FALSE(file.get_floats("b.f64"));
}

TEST(GgufWriter, SettingAKeyAgainReplacesIt) {
  TempDir dir;
  GgufWriter writer;
  writer.set("key", uint32_t{1});
  writer.set("key", 2.5f);
  ASSERT_TRUE(writer.write(dir / "a.gguf"));
  EXPECT_EQ(open_ok(dir / "a.gguf").get_float("key").value(), 2.5);
}

TEST(GgufWriter, RefusesWhatTheReaderWould) {
  const std::vector<float> numbers(6);
  const auto data = testing::bytes_of(numbers);
  const auto error_of = [](auto&& fill) {
    TempDir dir;
    GgufWriter writer;
    fill(writer);
    const Status status = writer.write(dir / "a.gguf");
    EXPECT_FALSE(status);
    EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
    return status ? std::string() : status.error().message;
  };
  EXPECT_EQ(error_of([&](auto& writer) { writer.add_tensor("t", TensorType::kF32, {7}, data); }),
            "[gguf] tensor t: expected 28 bytes of data, given 24");
  EXPECT_EQ(error_of([&](auto& writer) { writer.add_tensor("t", TensorType::kQ8_0, {6}, data); }),
            "[gguf] tensor t: expected rows of whole Q8_0 blocks of 32 elements, given 6");
  EXPECT_THAT(error_of([&](auto& writer) { writer.add_tensor("t", TensorType::kF32, {1, 1, 1, 1, 6}, data); }),
              HasSubstr("expected 1 to 4 dimensions"));
  EXPECT_THAT(error_of([&](auto& writer) { writer.add_tensor("t", TensorType::kF32, {0, 6}, {}); }),
              HasSubstr("above 0, given [0, 6]"));
  EXPECT_EQ(error_of([&](auto& writer) {
              writer.add_tensor("t", TensorType::kF32, {6}, data);
              writer.add_tensor("t", TensorType::kF32, {6}, data);
            }),
            "[gguf] tensor t: expected once, added twice");
  EXPECT_THAT(error_of([&](auto& writer) { writer.set("general.alignment", uint32_t{24}); }),
              HasSubstr("expected a power of two"));
}

TEST(GgufWriter, AFileThatCannotBeRenamedLeavesNothing) {
  TempDir dir;
  std::filesystem::create_directory(dir / "a.gguf");
  write_file(dir / "a.gguf/occupied", "");
  EXPECT_THAT(GgufWriter().write(dir / "a.gguf").error().message, HasSubstr("cannot rename to it"));
  EXPECT_FALSE(std::filesystem::exists(dir / "a.gguf.part"));
}

TEST(GgufWriter, AnUnwritablePlaceIsAnError) {
  TempDir dir;
  const Status status = GgufWriter().write(dir / "no such folder" / "a.gguf");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind, ErrorKind::kIo);
  EXPECT_THAT(status.error().message, HasSubstr("No such file or directory"));
}

}  // namespace
}  // namespace retort
