#include "engine/candidates.h"

#include <algorithm>
#include <cmath>

#include "base/result.h"

namespace retort {

double Candidates::mass_of(const Candidate* begin, const Candidate* end) {
  double sum = 0;
  for (; begin != end; ++begin) sum += static_cast<double>(begin->weight);
  return sum;
}

double Candidates::mass() const { return mass_of(list_.data(), list_.data() + list_.size()); }

// In the order of keys, the one with which the running sum first reaches `mass`; the very last when none does. Halves
// the range by selection and goes on in the half where the sum is reached: linear time in all.
Candidates::Candidate Candidates::last_to_reach(double mass) {
  RETORT_CHECK(!list_.empty());
  scratch_ = list_;
  Candidate* begin = scratch_.data();
  Candidate* end = begin + scratch_.size();
  while (end - begin > 1) {
    Candidate* middle = begin + (end - begin) / 2;
    std::nth_element(begin, middle, end);
    const double first_half = mass_of(begin, middle);
    if (first_half >= mass) {
      end = middle;
    } else {
      mass -= first_half;
      begin = middle;
    }
  }
  return *begin;
}

void Candidates::drop_behind(const Candidate& last) {
  std::erase_if(list_, [&](const Candidate& candidate) { return last < candidate; });
}

void Candidates::keep_top_k(size_t k) {
  if (k >= list_.size()) return;
  scratch_ = list_;
  const auto last = scratch_.begin() + static_cast<ptrdiff_t>(k) - 1;
  std::nth_element(scratch_.begin(), last, scratch_.end());
  drop_behind(*last);
}

void Candidates::keep_mass(double mass) { drop_behind(last_to_reach(mass)); }

void Candidates::keep_typical(double p) {
  const double total = mass();
  double entropy = 0;
  for (Candidate& c : list_) {
    const double probability = c.weight / total, surprise = -std::log(probability);
    c.key = static_cast<float>(surprise);
    entropy += probability * surprise;
  }
  for (Candidate& c : list_) c.key = std::abs(c.key - static_cast<float>(entropy));
  drop_behind(last_to_reach(p * total));
}

TokenId Candidates::draw(double unit) const {
  RETORT_CHECK(!list_.empty());
  double rest = unit * mass();
  for (const Candidate& c : list_) {
    rest -= static_cast<double>(c.weight);
    if (rest < 0) return c.id;
  }
  return list_.back().id;  // rounding kept the sum below its whole
}

}  // namespace retort
