// Mathematical answers as models give them, \boxed{…}, brought into one spelling so that equal ones compare equal.
// The rules are those that graders agree on: MATH (Hendrycks et al. 2021, math_equivalence.py), PRM800K (Lightman et
// al. 2023, grading/math_normalize.py and grader.py) and Qwen2.5-Math (Yang et al. 2024, evaluation/parser.py). What
// they do beyond spelling (symbolic algebra, equality within a tolerance) is not done here. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace retort {

// What stands in the last \boxed{…} (or \fbox{…}) whose braces close; none, or only space in it: nothing.
std::optional<std::string> last_boxed(std::string_view text);

// \dfrac12, 0.5, .50 and 1/2 → "1/2"; 1{,}000\text{ km} → "1000"; x = \text{(B)} → "(b)". Never fails: what is not
// understood stays as it is, without spaces.
std::string normalise_maths(std::string_view answer);

}  // namespace retort
