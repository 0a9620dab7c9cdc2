// Holds the calls of tools that an answer makes of itself to a grammar, each from behind its mark to its end. What the
// answer says beside them is free.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "text/grammar.h"

namespace retort {

class CallBinder {
 public:
  // `call`: what follows the mark. `tokenizer` outlives the object.
  CallBinder(const Tokenizer& tokenizer, std::string_view mark, GrammarMatcher call)
      : tokenizer_(&tokenizer), mark_(mark), call_(std::move(call)) {}
  // In the same state, sharing nothing that moves.
  Result<CallBinder> clone() const;

  // The answer goes on with `text` where no call is being written. One that has begun in another way than the grammar
  // knows is free like the rest.
  Status read(std::string_view text);
  // Of the call that is being written; null: none is.
  GrammarMatcher* call() { return current_ ? &*current_ : nullptr; }
  void end_call() { current_.reset(); }

 private:
  Status begin_call(std::string_view text);

  const Tokenizer* tokenizer_;
  std::string mark_;
  GrammarMatcher call_;  // where each call begins
  std::optional<GrammarMatcher> current_;
  std::string recent_;  // the end of what was read, shorter than a mark
};

}  // namespace retort
