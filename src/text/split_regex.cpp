#include "text/split_regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>

#include "text/unicode.h"

namespace retort {
namespace {

// Oniguruma's White_Space; PCRE2's own \s would add U+180E.
constexpr std::string_view kSpaces =
    R"(\x{09}-\x{0D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
constexpr std::string_view kNotSpaces =
    R"(\x{00}-\x{08}\x{0E}-\x{1F}\x{21}-\x{84}\x{86}-\x{9F}\x{A1}-\x{167F}\x{1681}-\x{1FFF}\x{200B}-\x{2027}\x{202A}-\x{202E}\x{2030}-\x{205E}\x{2060}-\x{2FFF}\x{3001}-\x{10FFFF})";

// Characters of Unicode 15 and 16, which Oniguruma knows and PCRE2 before 10.45 does not. Naming one twice does no
// harm.
struct Addition {
  uint32_t first, last;
  std::string_view category;
};
constexpr Addition kAdditions[] = {
#include "text/unicode_additions.inc"
};

constexpr std::array<std::string_view, 11> kProperties = {"L", "Lu", "Ll", "Lt", "Lm", "Lo", "N", "Nd", "M", "P", "S"};

class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) {}

  Result<std::string> run() {
    while (pos_ < pattern_.size()) {
      const char c = pattern_[pos_];
      if (c == '\\') {
        RETORT_TRY(escape());
      } else if (c == '[') {
        RETORT_TRY(open_class());
      } else if (c == ']' && in_class_) {
        in_class_ = false;
        out_ += pattern_[pos_++];
      } else if (in_class_ && pattern_.substr(pos_, 2) == "&&") {
        return unsupported("&&");
      } else {
        out_ += pattern_[pos_++];
      }
    }
    return std::move(out_);
  }

 private:
  tl::unexpected<Error> unsupported(std::string_view what) const {
    return fail(ErrorKind::kUnsupported, "[tokenizer] regex {}: `{}` is not supported", pattern_, what);
  }

  Status open_class() {
    if (in_class_) return unsupported("[ inside [ ]");
    in_class_ = true;
    out_ += pattern_[pos_++];
    if (pos_ < pattern_.size() && pattern_[pos_] == '^') out_ += pattern_[pos_++];
    if (pos_ < pattern_.size() && pattern_[pos_] == ']') return unsupported("[]");
    return {};
  }

  // `ranges` as a class of its own, or as part of the class that is open.
  void emit(std::string_view ranges) { out_ += in_class_ ? std::string(ranges) : fmt::format("[{}]", ranges); }

  Status escape() {
    if (pos_ + 1 >= pattern_.size()) return unsupported("\\");
    const char c = pattern_[pos_ + 1];
    const std::string_view two = pattern_.substr(pos_, 2);
    pos_ += 2;
    switch (c) {
      case 's':
        emit(kSpaces);
        return {};
      case 'S':
        emit(kNotSpaces);
        return {};
      case 'd':
        return property("Nd", false);
      case 'D':
        return property("Nd", true);
      case 'p':
      case 'P':
        return named_property(c == 'P');
      case 'x':
        return hex();
      case 'r':
      case 'n':
      case 't':
      case 'f':
      case 'v':
        out_ += c == 'v' ? std::string_view(R"(\x0B)") : two;
        return {};
      default:
        break;
    }
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || std::isalnum(byte) || c == '_') return unsupported(two);
    out_ += two;
    return {};
  }

  Status named_property(bool negated) {
    const size_t close = pattern_.find('}', pos_);
    if (pos_ >= pattern_.size() || pattern_[pos_] != '{' || close == std::string_view::npos) return unsupported("\\p");
    std::string_view name = pattern_.substr(pos_ + 1, close - pos_ - 1);
    pos_ = close + 1;
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    return property(name, negated);
  }

  Status property(std::string_view name, bool negated) {
    if (std::find(kProperties.begin(), kProperties.end(), name) == kProperties.end())
      return unsupported(fmt::format("\\p{{{}}}", name));
    if (negated && in_class_) return unsupported(fmt::format("[\\P{{{}}}]", name));
    std::string ranges = fmt::format("\\p{{{}}}", name);
    for (const Addition& addition : kAdditions)
      if (addition.category.starts_with(name))
        ranges += fmt::format("\\x{{{:X}}}-\\x{{{:X}}}", addition.first, addition.last);
    if (negated)
      out_ += fmt::format("[^{}]", ranges);
    else
      emit(ranges);
    return {};
  }

  Status hex() {
    const size_t close = pattern_.find('}', pos_);
    if (pos_ >= pattern_.size() || pattern_[pos_] != '{' || close == std::string_view::npos) return unsupported("\\x");
    out_ += "\\x";
    out_ += pattern_.substr(pos_, close + 1 - pos_);
    pos_ = close + 1;
    return {};
  }

  std::string_view pattern_;
  size_t pos_ = 0;
  bool in_class_ = false;
  std::string out_;
};

}  // namespace

struct SplitRegex::Compiled {
  pcre2_code* code = nullptr;
  pcre2_match_context* limits = nullptr;
  bool has_jit = false;
  ~Compiled() {
    pcre2_code_free(code);
    pcre2_match_context_free(limits);
  }

  // PCRE2's return code for the first match at or after `from`.
  int match(std::string_view subject, size_t from, pcre2_match_data* data) const {
    const auto* text = reinterpret_cast<PCRE2_SPTR>(subject.data());
    if (has_jit) {
      const int found = pcre2_jit_match(code, text, subject.size(), from, 0, data, limits);
      if (found != PCRE2_ERROR_JIT_STACKLIMIT) return found;
    }
    // The interpreter keeps its frames on the heap, up to the limit.
    return pcre2_match(code, text, subject.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data, limits);
  }
};

SplitRegex::Scratch::Scratch() : match_data_(pcre2_match_data_create(1, nullptr)) {}
SplitRegex::Scratch::~Scratch() { pcre2_match_data_free(static_cast<pcre2_match_data*>(match_data_)); }

Result<std::string> translate_split_pattern(std::string_view pattern) { return Translator(pattern).run(); }

Result<SplitRegex> SplitRegex::compile(std::string_view pattern) {
  RETORT_ASSIGN(const std::string translated, translate_split_pattern(pattern));
  auto compiled = std::make_shared<Compiled>();
  int error = 0;
  PCRE2_SIZE offset = 0;
  // ^ and $ are line anchors in Oniguruma; groups are never referred to.
  const uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NO_AUTO_CAPTURE | PCRE2_NEVER_BACKSLASH_C;
  compiled->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(), options, &error,
                                 &offset, nullptr);
  if (compiled->code == nullptr) {
    std::array<char, 256> message{};
    pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(message.data()), message.size());
    return fail(ErrorKind::kUnsupported, "[tokenizer] regex {}: {}", pattern, message.data());
  }
  compiled->limits = pcre2_match_context_create(nullptr);
  pcre2_set_match_limit(compiled->limits, 10'000'000);
  pcre2_set_heap_limit(compiled->limits, 64 * 1024);  // KiB
  // Without permission to make memory executable the interpreter does it, slower.
  compiled->has_jit = pcre2_jit_compile(compiled->code, PCRE2_JIT_COMPLETE) == 0;
  return SplitRegex(std::move(compiled));
}

void SplitRegex::find_all(std::string_view subject, Scratch& scratch, std::vector<Span>& matches) const {
  auto* data = static_cast<pcre2_match_data*>(scratch.match_data_);
  const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(data);
  size_t from = 0, last_end = std::string_view::npos;
  while (from <= subject.size()) {
    if (compiled_->match(subject, from, data) < 0) return;
    const Span found{offsets[0], offsets[1]};
    // An empty match does not count where the last match ended.
    if (found.begin != found.end || found.end != last_end) matches.push_back(found);
    last_end = from = found.end;
    if (found.begin == found.end) from += from < subject.size() ? next_utf8(subject, from).length : 1;
  }
}

}  // namespace retort
