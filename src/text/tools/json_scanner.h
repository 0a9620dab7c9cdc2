// Finds the end of a JSON object in text that comes in pieces. One answer's, used by one thread at a time.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace retort {

// RFC 8259, but for control characters within strings, which models write and JSON wants escaped.
class JsonScanner {
 public:
  enum class State { kMore, kComplete, kInvalid };

  // `text` begins with the object's brace; each call sees what the last one saw and more. Looks at what is new only.
  State scan(std::string_view text);
  // kComplete: behind the closing brace. kInvalid: what cannot be JSON.
  size_t end() const { return at_; }

 private:
  enum class Expect { kValue, kKey, kKeyOrEnd, kValueOrEnd, kColon, kCommaOrEnd, kString, kEscape, kWord, kNothing };

  bool take(char c);
  bool take_string(char c);
  bool take_word(char c);
  bool begin_value(char c);
  bool close(char c);
  void end_value();

  static constexpr size_t kMaxDepth = 100;
  Expect expect_ = Expect::kValue;
  std::vector<char> open_;  // '{' or '[' of each
  std::string word_;        // a number, true, false or null that is begun
  bool is_key_ = false;     // of the string
  int num_hex_ = 0;         // digits of \uXXXX that must still come
  size_t at_ = 0;
};

}  // namespace retort
