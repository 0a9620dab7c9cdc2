// What a tokenizer.json does to text before cutting it: Unicode normal forms, prefixes, replacements.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace retort {

class Normalizer {
 public:
  // Canonical composition as Hugging Face's tokenizers do it (see the .cpp). GGUF tokenizers have no normal form:
  // llama.cpp applies none.
  struct Nfc {};
  struct Prepend {
    std::string text;
  };
  struct Replace {
    std::string from, to;
  };
  using Step = std::variant<Nfc, Prepend, Replace>;

  void add(Step step) { steps_.push_back(std::move(step)); }
  // `text` (valid UTF-8) itself when nothing changes, else `storage`, which then holds the result.
  std::string_view apply(std::string_view text, std::string& storage) const;

 private:
  std::vector<Step> steps_;
};

}  // namespace retort
