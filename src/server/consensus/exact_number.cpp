#include "server/consensus/exact_number.h"

#include <cstdint>
#include <numeric>

namespace retort {
namespace {

constexpr int kMaxDigits = 17;

struct Rational {
  int64_t numerator = 0, denominator = 1;
};

// Digits with at most one point: "12", "0.5", ".5", "5.".
std::optional<Rational> take_decimal(std::string_view& text) {
  Rational value;
  int num_digits = 0;
  bool has_point = false;
  size_t at = 0;
  for (; at < text.size(); ++at) {
    if (text[at] == '.' && !has_point) {
      has_point = true;
      continue;
    }
    if (text[at] < '0' || text[at] > '9') break;
    if (++num_digits > kMaxDigits) return std::nullopt;
    value.numerator = value.numerator * 10 + (text[at] - '0');
    if (has_point) value.denominator *= 10;
  }
  if (num_digits == 0) return std::nullopt;
  text.remove_prefix(at);
  return value;
}

bool take(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

// Of whole numbers only: quotients of decimals are rare, and their products do not fit.
std::optional<Rational> take_quotient(std::string_view& text, std::string_view opening, std::string_view middle,
                                      std::string_view closing) {
  if (!take(text, opening)) return std::nullopt;
  const bool is_negative = take(text, "-");
  const auto above = take_decimal(text);
  if (!above || !take(text, middle)) return std::nullopt;
  const auto below = take_decimal(text);
  if (!below || !take(text, closing)) return std::nullopt;
  if (above->denominator != 1 || below->denominator != 1 || below->numerator == 0) return std::nullopt;
  return Rational{is_negative ? -above->numerator : above->numerator, below->numerator};
}

std::optional<Rational> take_fraction(std::string_view& text) { return take_quotient(text, "\\frac{", "}{", "}"); }

// "1\frac{1}{2}"
std::optional<Rational> take_mixed(std::string_view& text) {
  const auto whole = take_decimal(text);
  if (!whole || text.empty()) return whole;
  const auto part = take_fraction(text);
  int64_t product = 0, sum = 0;
  if (!part || whole->denominator != 1 || part->numerator < 0 ||
      __builtin_mul_overflow(whole->numerator, part->denominator, &product) ||
      __builtin_add_overflow(product, part->numerator, &sum))
    return std::nullopt;
  return Rational{sum, part->denominator};
}

std::optional<Rational> unsigned_number(std::string_view text) {
  using Reader = std::optional<Rational> (*)(std::string_view&);
  constexpr Reader kSlash = [](std::string_view& rest) { return take_quotient(rest, "", "/", ""); };
  for (const Reader reader : {Reader{take_fraction}, kSlash, Reader{take_mixed}}) {
    std::string_view rest = text;
    if (const auto value = reader(rest); value && rest.empty()) return value;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> exact_number(std::string_view text) {
  const bool is_negative = take(text, "-");
  if (!is_negative) take(text, "+");
  if (text.starts_with('-')) return std::nullopt;
  const auto value = unsigned_number(text);
  if (!value) return std::nullopt;
  const int64_t divisor = std::gcd(value->numerator, value->denominator);
  const int64_t numerator = (is_negative ? -1 : 1) * value->numerator / divisor;
  const int64_t denominator = value->denominator / divisor;
  return denominator == 1 ? std::to_string(numerator) : std::to_string(numerator) + '/' + std::to_string(denominator);
}

}  // namespace retort
