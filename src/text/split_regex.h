// A regular expression of a tokenizer.json (Oniguruma's dialect), run by PCRE2 so that it matches what Hugging Face's
// tokenizers match.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace retort {

struct Span {
  size_t begin, end;
  bool operator==(const Span&) const = default;
};

class SplitRegex {
 public:
  // Only constructs that mean the same in both dialects; another is kUnsupported and named.
  static Result<SplitRegex> compile(std::string_view pattern);

  // Working memory of one thread for any number of find_all calls.
  class Scratch {
   public:
    Scratch();
    ~Scratch();
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

   private:
    friend class SplitRegex;
    void* match_data_;
  };

  // The matches in `subject` (valid UTF-8) from left to right, appended to `matches`; they do not overlap and may be
  // empty. Bounded in stack and steps: a pattern that exceeds the bound finds nothing in the rest of the subject.
  void find_all(std::string_view subject, Scratch& scratch, std::vector<Span>& matches) const;

 private:
  struct Compiled;
  explicit SplitRegex(std::shared_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}
  std::shared_ptr<const Compiled> compiled_;
};

// `pattern` rewritten for PCRE2 (see the .cpp for what differs between the dialects).
Result<std::string> translate_split_pattern(std::string_view pattern);

}  // namespace retort
