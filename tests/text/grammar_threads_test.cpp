// Grammars in several threads, and where none can be had.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "grammar_fixture.h"

namespace retort {
namespace {

// They share the watch over how long each takes.
TEST_F(GrammarTest, MatchersOfOneVocabularyMoveInThreads) {
  const Vocabulary& qwen = vocabulary("qwen2");
  GrammarMatcher matcher = qwen.after(GrammarKind::kJsonSchema, R"({"type": "integer"})", "1");
  const auto expected = qwen.mask(matcher);
  const auto move = [&](GrammarMatcher mine) {
    for (int i = 0; i < 50; ++i) {
      auto copy = *mine.clone();
      EXPECT_EQ(qwen.mask(copy), expected);
      EXPECT_TRUE(copy.take_forced());
    }
  };
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(move, *matcher.clone());
}

// Of a user who may have no further process; one who may have many has a thread that keeps watch, and makes another for
// each grammar.
[[noreturn]] void compile_without_threads(const Grammars& grammars) {
  ::alarm(60);
  if (::getuid() == 0 && ::setuid(65534) != 0) std::_Exit(2);  // root is not bound by the limit
  rlimit before{};
  ::getrlimit(RLIMIT_NPROC, &before);
  const rlimit none{.rlim_cur = 1, .rlim_max = before.rlim_max};
  const auto compile = [&](const rlimit& limit) {
    ::setrlimit(RLIMIT_NPROC, &limit);
    const auto matcher = grammars.compile(GrammarKind::kRegex, "[0-9]+");
    fmt::print(stderr, "{}\n", matcher ? "compiled" : matcher.error().message);
  };
  compile(none);
  compile(before);
  compile(none);
  std::_Exit(0);
}

TEST(GrammarDeathTest, AThreadThatCannotStartIsAnErrorWithItsRemedy) {
  const Vocabulary fresh{*load_gguf_tokenizer(vocabulary_path("qwen2"))};
  const std::string refused = "a thread could not be started: [^\n]*ulimit -u[^\n]*\n";
  EXPECT_EXIT(compile_without_threads(fresh.grammars), ::testing::ExitedWithCode(0),
              refused + "compiled\n.*" + refused);
}

}  // namespace
}  // namespace retort
