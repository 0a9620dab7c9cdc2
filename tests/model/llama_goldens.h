// What llama.cpp computed, as tests/data/llama/make_llama_goldens.py kept it, and how far other logits are from it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "formats/gguf.h"

namespace retort::testing {

// Log-probabilities of one position.
class Logprobs {
 public:
  explicit Logprobs(std::span<const float> logits) : logits_(logits) {
    const double largest = *std::ranges::max_element(logits);
    double sum = 0;
    for (float x : logits) sum += std::exp(x - largest);
    shift_ = largest + std::log(sum);
  }
  double of(int64_t id) const { return logits_[static_cast<size_t>(id)] - shift_; }
  int64_t best() const { return std::ranges::max_element(logits_) - logits_.begin(); }
  std::vector<int64_t> most_likely(size_t count) const {
    std::vector<int64_t> ids(logits_.size());
    std::iota(ids.begin(), ids.end(), 0);
    std::ranges::partial_sort(ids, ids.begin() + static_cast<int64_t>(count), std::greater(),
                              [&](int64_t id) { return of(id); });
    ids.resize(count);
    return ids;
  }

 private:
  std::span<const float> logits_;
  double shift_;
};

// Of each position the probabilities of its most likely tokens, most likely first, and some tokens drawn from the rest.
struct Distributions {
  size_t top_k = 0, num_samples = 0;
  std::vector<int64_t> ids, tail_ids;  // [positions, top_k], [positions, num_samples]
  std::vector<double> probs;           // of ids
  std::vector<float> tail_logprobs;    // of tail_ids

  void add(std::span<const float> logits) {
    const Logprobs logprobs(logits);
    for (int64_t id : logprobs.most_likely(top_k)) {
      ids.push_back(id);
      probs.push_back(std::exp(logprobs.of(id)));
    }
  }
};

// How other logits differ from given distributions: mean KL(given ‖ other), and how often the most likely token is the
// same. The tail counts by its samples, else as one bucket, which gives a lower bound.
class Difference {
 public:
  // The first `num_apart` positions are not counted.
  explicit Difference(const Distributions& given, size_t num_apart = 0) : given_(given), num_apart_(num_apart) {}

  // The next position's logits.
  void add(std::span<const float> logits) {
    const Logprobs logprobs(logits);
    const double kl = divergence(logprobs);
    const bool same = logprobs.best() == given_.ids[num_seen_ * given_.top_k];
    if (num_seen_ == 0) first_kl_ = kl;
    if (num_seen_++ < num_apart_) return;
    kl_ += kl;
    if (same) ++num_same_;
  }

  size_t num_positions() const { return num_seen_ - num_apart_; }
  double kl() const { return kl_ / static_cast<double>(num_positions()); }
  double first_kl() const { return first_kl_; }  // of the first position, counted or not
  double top1() const { return static_cast<double>(num_same_) / static_cast<double>(num_positions()); }

 private:
  double divergence(const Logprobs& other) const {
    double kl = 0, given_tail = 1, tail = 1;
    for (size_t i = num_seen_ * given_.top_k; i < (num_seen_ + 1) * given_.top_k; ++i) {
      const double p = given_.probs[i], log_q = other.of(given_.ids[i]);
      if (p > 0) kl += p * (std::log(p) - log_q);
      given_tail -= p;
      tail -= std::exp(log_q);
    }
    if (given_tail < 1e-9) return kl;
    if (given_.num_samples == 0) return kl + given_tail * std::log(given_tail / std::max(tail, 1e-12));
    double sum = 0;
    for (size_t i = num_seen_ * given_.num_samples; i < (num_seen_ + 1) * given_.num_samples; ++i)
      sum += given_.tail_logprobs[i] - other.of(given_.tail_ids[i]);
    return kl + given_tail * sum / static_cast<double>(given_.num_samples);
  }

  const Distributions& given_;
  size_t num_apart_, num_seen_ = 0, num_same_ = 0;
  double kl_ = 0, first_kl_ = 0;
};

class LlamaGoldens {
 public:
  explicit LlamaGoldens(const std::string& name)
      : file_(Gguf::open(std::string(RETORT_TEST_DATA) + "/llama/" + name + ".gguf").value()) {}

  std::vector<int32_t> tokens(const std::string& key = "tokens") const {
    const auto ids = ints(key);
    return {ids.begin(), ids.end()};
  }
  Distributions distributions(const std::string& key) const {
    Distributions out;
    const size_t num_positions = ints("tokens").size();
    out.ids = ints(key + ".ids");
    out.top_k = out.ids.size() / num_positions;
    for (const auto parts = ints(key + ".probs"); int64_t part : parts)
      out.probs.push_back(static_cast<double>(part) / 65535);
    if (!file_.has(key + ".tail_ids")) return out;
    out.tail_ids = ints(key + ".tail_ids");
    out.tail_logprobs = floats(key + ".tail_logprobs");
    out.num_samples = out.tail_ids.size() / num_positions;
    return out;
  }
  std::vector<int64_t> ints(const std::string& key) const { return file_.get_ints(key).value(); }
  std::vector<float> floats(const std::string& key) const { return file_.get_floats(key).value(); }
  double number(const std::string& key) const { return file_.get_float(key).value(); }
  size_t count(const std::string& key) const { return file_.get_uint(key).value(); }
  std::string text(const std::string& key) const { return file_.get_string(key).value(); }
  bool has(const std::string& key) const { return file_.has(key); }

 private:
  Gguf file_;
};

}  // namespace retort::testing
