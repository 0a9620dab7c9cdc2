// Rational numbers as answers spell them, in lowest terms. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace retort {

// "0.50", "-\frac{2}{4}", "\frac{-2}{4}", "1\frac{1}{2}", "3/6", "+7" → "1/2", "-1/2", "-1/2", "3/2", "1/2", "7".
// Nothing for what is no rational number, or has more digits than are exact in 64 bits.
std::optional<std::string> exact_number(std::string_view text);

}  // namespace retort
