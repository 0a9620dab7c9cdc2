#include "cli/suggest.h"

#include <algorithm>
#include <numeric>

namespace retort {
namespace {

// Levenshtein's: insertions, deletions and replacements from one to the other.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

std::optional<std::string> nearest(std::string_view given, const std::vector<std::string>& known) {
  const std::string* best = nullptr;
  size_t best_distance = std::max<size_t>(2, given.size() / 3) + 1;
  for (const auto& name : known) {
    // A beginning that was typed whole counts as near: "qwen2.5" for "qwen2.5-coder-1.5b".
    const bool begins = given.size() >= 4 && std::string_view(name).starts_with(given);
    const size_t distance = begins ? 1 : edit_distance(given, name);
    if (distance < best_distance) {
      best = &name;
      best_distance = distance;
    }
  }
  return best == nullptr ? std::nullopt : std::optional(*best);
}

std::string did_you_mean(std::string_view given, const std::vector<std::string>& known) {
  const auto name = nearest(given, known);
  return name ? " (did you mean '" + *name + "'?)" : "";
}

}  // namespace retort
