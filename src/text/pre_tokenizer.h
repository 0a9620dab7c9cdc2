// Cuts text into the pieces that byte-pair merges never cross: the pre_tokenizer of a tokenizer.json, step by step.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/split_regex.h"

namespace retort {

// What GPT-2, and a ByteLevel pre-tokenizer with use_regex, cuts at.
inline constexpr std::string_view kGpt2SplitPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// The pieces of one text, in order. `text` is what the spans point into; steps that add characters replace it by
// `storage`.
struct Pieces {
  std::string_view text;
  std::string storage;
  std::vector<Span> spans;
};

// What becomes of the matches of a pattern and of the text between them.
enum class SplitBehavior : uint8_t { kIsolated, kRemoved, kMergedWithPrevious, kMergedWithNext, kContiguous };

class PreTokenizer {
 public:
  struct Split {
    SplitRegex regex;
    SplitBehavior behavior = SplitBehavior::kIsolated;
    bool invert = false;  // pieces are the matches; what lies between is treated as the pattern's match
  };
  // Each piece begins with a space: one is put before it unless it has one.
  struct SpacePrefix {};
  // Spaces become `replacement`; pieces begin with it (all, the first of the whole input, or none) and are cut before
  // each.
  struct Metaspace {
    enum class Prepend : uint8_t { kAlways, kFirst, kNever };
    std::string replacement = "\u2581";
    Prepend prepend = Prepend::kAlways;
    bool split = true;
  };
  using Step = std::variant<Split, SpacePrefix, Metaspace>;

  void add(Step step) { steps_.push_back(std::move(step)); }
  // Fills `pieces` for `text`, which stays referred to. `at_start`: the text begins the input.
  void split(std::string_view text, bool at_start, Pieces& pieces) const;

 private:
  std::vector<Step> steps_;
};

}  // namespace retort
