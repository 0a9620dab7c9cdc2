// What of a sample's text is its answer, and when two answers are the same. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace retort {

enum class AnswerKind { kBoxed, kJson, kText };

struct ExtractedAnswer {
  std::string text;  // as the sample wrote it
  std::string key;   // equal for answers that are the same
};

// boxed: the last \boxed{…}, compared as mathematics (boxed_answer.h).
// json: the whole text, perhaps in a code fence; keys in any order, 1 and 1.0 the same.
// text: the whole text, without regard to case, white space and the punctuation at its end.
// Nothing: the text gives no answer of this kind.
std::optional<ExtractedAnswer> extract_answer(AnswerKind kind, std::string_view text);

}  // namespace retort
