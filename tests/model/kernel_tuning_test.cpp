#include "model/kernel_tuning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "formats/temp_dir.h"
#include "model/random_model.h"
#include "model/transformer.h"

namespace retort {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::RandomModel;
using testing::read_file;
using testing::TempDir;
using testing::write_file;

const TuningKey kKey{"A CPU @ 2 GHz", "avx2", 8, "Q4_K", 8960, 1536};

std::vector<TuningKey> other_keys() {
  std::vector<TuningKey> keys(7, kKey);
  keys[0].cpu = "Another CPU";
  keys[1].isa = "amx";
  keys[2].num_threads = 7;
  keys[3].type = "Q6_K";
  keys[4].num_outputs = 1536;
  keys[5].num_inputs = 8960;
  keys[6].build = "an older one";
  return keys;
}

TEST(KeptTuning, IsFoundByItsKeyAlone) {
  const TempDir folder;
  const auto file = folder / "new" / "tuning.json";
  EXPECT_EQ(find_tuning(file, kKey), std::nullopt);
  ASSERT_TRUE(keep_tuning(file, kKey, {2, 5, true}));
  EXPECT_EQ(find_tuning(file, kKey), (KernelTuning{2, 5, true}));
  int nudged = 0;
  for (const TuningKey& key : other_keys()) {
    EXPECT_EQ(find_tuning(file, key), std::nullopt);
    ASSERT_TRUE(keep_tuning(file, key, {nudged++, 9}));
  }
  ASSERT_TRUE(keep_tuning(file, kKey, {1, 17}));
  EXPECT_EQ(find_tuning(file, kKey), (KernelTuning{1, 17})) << "the newest counts";
  for (int i = 0; i < nudged; ++i)
    EXPECT_EQ(find_tuning(file, other_keys()[static_cast<size_t>(i)]), (KernelTuning{i, 9}));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder / "new"), {}), 1) << "nothing half written";
}

TEST(KeptTuning, TheOldestMakeRoom) {
  const TempDir folder;
  TuningKey key = kKey;
  for (key.num_threads = 1; key.num_threads <= 70; ++key.num_threads)
    ASSERT_TRUE(keep_tuning(folder / "tuning.json", key, {1, 4}));
  EXPECT_EQ(nlohmann::json::parse(read_file(folder / "tuning.json"))["tunings"].size(), 64u);
  key.num_threads = 70;
  EXPECT_NE(find_tuning(folder / "tuning.json", key), std::nullopt);
  key.num_threads = 6;
  EXPECT_EQ(find_tuning(folder / "tuning.json", key), std::nullopt);
}

TEST(KeptTuning, WhatIsSpoiltIsNotThereAndIsWrittenAnew) {
  const TempDir folder;
  const auto file = folder / "tuning.json";
  ASSERT_TRUE(keep_tuning(file, kKey, {2, 5}));
  const std::string whole = read_file(file);
  const auto with = [&](const char* from, const std::string& to) {
    std::string text = whole;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, std::string_view(from).size(), to);
  };
  for (const std::string& text : {std::string(),
                                  std::string("\0\0\0", 3),
                                  std::string("[]"),
                                  std::string("{}"),
                                  std::string(R"({"tunings": {}})"),
                                  std::string(R"({"tunings": [1, null, {}, {"for": 3}, [[]]]})"),
                                  whole.substr(0, whole.size() / 2),
                                  with("\"nudged_rows\": 2", "\"nudged_rows\": -1"),
                                  with("\"nudged_rows\": 2", "\"nudged_rows\": 17"),
                                  with("\"nudged_rows\": 2", "\"nudged_rows\": 2.5"),
                                  with("\"nudged_rows\": 2", "\"nudged_rows\": \"2\""),
                                  with("\"nudged_rows\": 2", "\"nudged_rows\": 99999999999999999999"),
                                  with("\"nudged_rows\": 2", "\"other\": 2"),
                                  with("\"many_rows_from\": 5", "\"many_rows_from\": 0"),
                                  with("\"many_rows_from\": 5", "\"many_rows_from\": 18"),
                                  with("\"keeps_lines\": 0", "\"keeps_lines\": 2"),
                                  with("\"keeps_lines\": 0", "\"other\": 0"),
                                  with("avx2", "avx\xff"),
                                  std::string(200'000, '['),
                                  std::string(100'000, ' ') + whole}) {
    write_file(file, text);
    EXPECT_EQ(find_tuning(file, kKey), std::nullopt) << text.substr(0, 200);
    ASSERT_TRUE(keep_tuning(file, kKey, {1, 3}));
    EXPECT_EQ(find_tuning(file, kKey), (KernelTuning{1, 3})) << text.substr(0, 200);
  }
}

TEST(KeptTuning, AFolderThatTakesNothingIsSaid) {
  const TempDir folder;
  write_file(folder / "file", "");
  const auto written = keep_tuning(folder / "file" / "tuning.json", kKey, {1, 3});
  ASSERT_FALSE(written);
  EXPECT_THAT(written.error().message, HasSubstr("tuning.json: cannot be written"));
  std::filesystem::create_directory(folder / "tuning.json");
  EXPECT_FALSE(keep_tuning(folder / "tuning.json", kKey, {1, 3}));
  EXPECT_EQ(find_tuning(folder / "tuning.json", kKey), std::nullopt);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 2) << "nothing is left behind";
}

// Matrices that are large enough to be measured on.
class TuneKernels : public ::testing::Test {
 protected:
  TuneKernels() : bytes_(kOutputs * kInputs / 32 * info_of(TensorType::kQ4_0).block_bytes) {
    for (auto& matrix : packed_)
      matrix = PackedMatrix::pack({"w", TensorType::kQ4_0, {kOutputs, kInputs}, bytes_}, pool_).value();
  }
  TunedKernels tune(const KernelTuningRequest& request, size_t num_matrices = 2) {
    const PackedMatrix* matrices[] = {&packed_[0], &packed_[1]};
    return tune_kernels(matmul_, {matrices, num_matrices}, isa_, 2, request);
  }
  static constexpr uint64_t kOutputs = 4096, kInputs = 2048;
  ThreadPool pool_{2};
  Isa isa_ = supported_isas().back();
  Matmul matmul_{isa_, pool_};
  const KernelTuning usual_ = matmul_.tuning();
  const TempDir folder_;
  const std::filesystem::path file_ = folder_ / "tuning.json";

 private:
  std::vector<std::byte> bytes_;
  PackedMatrix packed_[2];
};

TEST_F(TuneKernels, TheSetsOwnUnlessMeasuringIsAskedFor) {
  const auto tuned = tune({.cache_file = file_});
  EXPECT_EQ(tuned.source, TuningSource::kDefault);
  EXPECT_EQ(tuned.tuning, usual_);
  EXPECT_THAT(to_string(tuned), HasSubstr(" (default)"));
  EXPECT_FALSE(std::filesystem::exists(file_));
}

TEST_F(TuneKernels, WhatIsGivenGoesBeforeAll) {
  const auto tuned = tune({.measures = true, .nudged_rows = 3, .cache_file = file_});
  EXPECT_EQ(tuned.source, TuningSource::kGiven);
  EXPECT_EQ(tuned.tuning, (KernelTuning{3, usual_.many_rows_from}));
  EXPECT_EQ(matmul_.tuning(), tuned.tuning);
  EXPECT_EQ(tune({.many_rows_from = 2}).tuning, (KernelTuning{usual_.nudged_rows, 2}));
  EXPECT_EQ(tune({.keeps_lines = 1}).tuning, (KernelTuning{usual_.nudged_rows, usual_.many_rows_from, true}));
  EXPECT_THAT(to_string(tune({.keeps_lines = 1})), HasSubstr(",keeps_lines=1"));
}

TEST_F(TuneKernels, WhatWasMeasuredIsFoundAtTheNextStart) {
  if (isa_ == Isa::kScalar) GTEST_SKIP() << "nothing is measured";
  const auto first = tune({.measures = true, .cache_file = file_});
  if (first.source == TuningSource::kDefault) GTEST_SKIP() << "this machine is too slow now: " << first.reason;
  EXPECT_EQ(first.source, TuningSource::kMeasured);
  EXPECT_THAT(to_string(first), HasSubstr(" s on Q4_0 matrices of 4096 × 2048"));
  const auto second = tune({.measures = true, .cache_file = file_});
  EXPECT_EQ(second.source, TuningSource::kCached);
  EXPECT_EQ(second.tuning, first.tuning);
  EXPECT_THAT(second.reason, HasSubstr("tuning.json"));
}

TEST_F(TuneKernels, WhatIsKeptIsUsed) {
  if (isa_ == Isa::kScalar) GTEST_SKIP() << "nothing is measured";
  const TuningKey key{cpu_model(), std::string(isa_name(isa_)), 2, "Q4_0", kOutputs, kInputs};
  ASSERT_TRUE(keep_tuning(file_, key, {4, 11}));
  const auto tuned = tune({.measures = true, .cache_file = file_});
  EXPECT_EQ(tuned.source, TuningSource::kCached);
  EXPECT_EQ(matmul_.tuning(), (KernelTuning{4, 11}));
}

TEST_F(TuneKernels, AFolderThatTakesNothingIsNoFault) {
  write_file(folder_ / "file", "");
  EXPECT_NE(tune({.measures = true, .cache_file = folder_ / "file" / "tuning.json"}).source, TuningSource::kCached);
}

TEST_F(TuneKernels, TooLittleIsNotMeasured) {
  const auto tuned = tune({.measures = true, .cache_file = file_}, 1);
  EXPECT_EQ(tuned.source, TuningSource::kDefault);
  EXPECT_THAT(tuned.reason, Not(IsEmpty()));
  EXPECT_EQ(tune({.measures = true, .cache_file = file_}, 0).source, TuningSource::kDefault);
  EXPECT_FALSE(std::filesystem::exists(file_));
}

std::vector<float> logits_of(const std::filesystem::path& path, Isa isa, const KernelTuningRequest& request) {
  ThreadPool pool(2);
  const auto checkpoint = Checkpoint::open(path).value();
  Transformer model = Transformer::load(checkpoint, isa, pool).value();
  EXPECT_EQ(model.tune_kernels(request).source, TuningSource::kGiven);
  auto kv = KvStore::allocate(model.config(), KvType::kBF16, 2).value();
  std::vector<int32_t> tokens(23), table = {1, 0};
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i * 37 % 256);
  std::vector<float> all;
  for (const auto& [first, count] : {std::pair<size_t, size_t>{0, 17}, {17, 5}, {22, 1}}) {
    const ForwardSequence sequence{std::span(tokens).subspan(first, count), static_cast<int64_t>(first), table,
                                   static_cast<int64_t>(count)};
    const auto logits = model.forward({&sequence, 1}, kv);
    all.insert(all.end(), logits.begin(), logits.end());
  }
  return all;
}

TEST(Transformer, LogitsDoNotDependOnTheTuning) {
  const TempDir folder;
  const auto path = RandomModel(TensorType::kQ4_K).write(folder / "random.gguf");
  for (Isa isa : supported_isas()) {
    const auto expected = logits_of(path, isa, {.nudged_rows = 0, .many_rows_from = kNoManyRows});
    for (const int many_from : {1, 2, 5})
      EXPECT_EQ(logits_of(path, isa, {.nudged_rows = 4, .many_rows_from = many_from, .keeps_lines = true}), expected)
          << isa_name(isa) << ", many_rows_from " << many_from;
  }
}

}  // namespace
}  // namespace retort
