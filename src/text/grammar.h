// Constrained decoding by llguidance: which tokens may come next so that a text stays within a grammar.
#pragma once

#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

struct TextBridgeGrammars;
struct TextBridgeMatcher;

namespace retort {

enum class GrammarKind {
  kJsonSchema,
  kRegex,
  kChoice,  // a JSON list of strings
  kLark,    // llguidance's Lark dialect, or llama.cpp's GBNF
};

struct GrammarLimits {
  size_t max_bytes = 256 << 10;               // of a grammar's text
  std::chrono::milliseconds max_time{5'000};  // for compiling it
};

// Where one text stands in its grammar. Used by one thread at a time. Errors: kTooLarge, to follow the grammar takes
// more than its limits of memory or time.
class GrammarMatcher {
 public:
  explicit GrammarMatcher(TextBridgeMatcher* matcher) : matcher_(matcher) {}

  // Shares nothing that moves with this one.
  Result<GrammarMatcher> clone() const;
  // Bit id % 32 of word id / 32: the token may come next. Stop tokens may where the text may end.
  Status mask(std::span<uint32_t> words);
  Status accept(TokenId id);
  // The tokens that must come next, accepted at the same time; often none.
  Result<std::vector<TokenId>> take_forced();
  bool is_complete() const;  // nothing may follow, not even a stop token

 private:
  struct Free {
    void operator()(TextBridgeMatcher* matcher) const;
  };
  std::unique_ptr<TextBridgeMatcher, Free> matcher_;
};

// Compiles grammars over one vocabulary. Any thread may use it.
class Grammars {
 public:
  // `tokenizer` must outlive the object and every matcher. The destructor waits for what still compiles.
  explicit Grammars(const Tokenizer& tokenizer, GrammarLimits limits = {}) : tokenizer_(tokenizer), limits_(limits) {}

  // Errors: kBadInput, the text is no such grammar or asks for what cannot be enforced; kTooLarge, it is over a limit;
  // kUnavailable, too many that took too long still compile, or the machine gives no thread. The first call prepares
  // the vocabulary: 0.4 s and 50 MB for 150,000 tokens, which its time limit does not count.
  Result<GrammarMatcher> compile(GrammarKind kind, std::string_view text) const;
  bool is_compiling() const;
  // From now on compile() is refused (kUnavailable). True: the destructor would wait for what still compiles.
  bool stop() const;

 private:
  struct Free {
    void operator()(TextBridgeGrammars* grammars) const;
  };
  Status prepare() const;
  Status begin() const;
  void end() const;
  Result<GrammarMatcher> compile_now(GrammarKind kind, std::string_view text) const;

  const Tokenizer& tokenizer_;
  GrammarLimits limits_;
  mutable std::mutex prepare_mutex_;
  mutable std::unique_ptr<TextBridgeGrammars, Free> grammars_;
  mutable std::mutex mutex_;  // of what follows
  mutable bool is_stopped_ = false;
  mutable int num_compiling_ = 0;
  mutable std::vector<std::future<Result<GrammarMatcher>>> stragglers_;  // nobody waits for them; destroyed first
};

}  // namespace retort
