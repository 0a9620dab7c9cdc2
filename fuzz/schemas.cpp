// Any bytes as the schema, expression, choices or grammar that an answer is held to, and as the schema of a tool:
// refused with a reason, or followed for some tokens within what its masks allow.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "text/grammar.h"
#include "text/tools/tool_format.h"
#include "tiny_tokenizers.h"

namespace {

using namespace retort;

// The masks of a few steps, each time taking the first, the middle or the last token that may come.
void follow(GrammarMatcher& matcher, size_t vocab_size, uint8_t choice) {
  std::vector<uint32_t> mask((vocab_size + 31) / 32);
  for (int step = 0; step < 8 && !matcher.is_complete(); ++step) {
    if (!matcher.mask(mask)) return;  // over its limits
    std::vector<TokenId> allowed;
    for (size_t id = 0; id < vocab_size; ++id)
      if ((mask[id / 32] >> id % 32 & 1) != 0) allowed.push_back(static_cast<TokenId>(id));
    if (allowed.empty()) return;
    const size_t at = choice % 3 == 0 ? 0 : choice % 3 == 1 ? allowed.size() / 2 : allowed.size() - 1;
    if (!matcher.accept(allowed[at]) || !matcher.take_forced()) return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Tokenizer tokenizer = fuzzing::byte_level();
  static const Grammars grammars(tokenizer);
  if (size < 2) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, std::min<size_t>(size - 1, 4096));
  const uint8_t selector = data[0];
  const ToolSignature tool{"f", text};
  const std::string calls =
      tool_calls_grammar(static_cast<ToolFormat>(selector / 4 % 3), {&tool, 1}, selector % 2 == 0);
  const auto began = std::chrono::steady_clock::now();
  const auto compile_and_follow = [&](GrammarKind kind, std::string_view source) {
    auto matcher = grammars.compile(kind, source);
    if (matcher)
      follow(*matcher, static_cast<size_t>(tokenizer.vocab_size()), selector / 12);
    else
      RETORT_CHECK(!matcher.error().message.empty());
  };
  compile_and_follow(static_cast<GrammarKind>(selector % 4), text);
  compile_and_follow(GrammarKind::kLark, calls);
  RETORT_CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(8));
  return 0;
}
