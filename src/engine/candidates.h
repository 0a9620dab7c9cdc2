// The filters that leave some of the likeliest tokens: top_k, top_p, typical_p. None sorts; each finds the last token
// that stays (by partial selection) and drops those behind it, so candidates keep the order of their ids.
#pragma once

#include <vector>

#include "text/tokenizer.h"

namespace retort {

class Candidates {
 public:
  void clear() { list_.clear(); }
  void add(TokenId id, float weight) { list_.push_back({id, weight, -weight}); }
  size_t size() const { return list_.size(); }
  double mass() const;  // sum of weights

  // The k heaviest; of equals the lower id.
  void keep_top_k(size_t k);
  // The fewest heaviest whose weights reach `mass`; at least one.
  void keep_mass(double mass);
  // The fewest whose surprise is nearest to the expected one (the entropy) and whose weights reach the fraction p
  // (locally typical sampling, arXiv 2202.00666). To be the last filter.
  void keep_typical(double p);

  // The candidate at the point `unit` in [0, 1) of the weights laid end to end.
  TokenId draw(double unit) const;

 private:
  struct Candidate {
    TokenId id;
    float weight;  // proportional to its probability
    float key;     // lower stays longer; of equals the lower id
    bool operator<(const Candidate& other) const { return key != other.key ? key < other.key : id < other.id; }
  };

  static double mass_of(const Candidate* begin, const Candidate* end);
  Candidate last_to_reach(double mass);
  void drop_behind(const Candidate& last);

  std::vector<Candidate> list_, scratch_;
};

}  // namespace retort
