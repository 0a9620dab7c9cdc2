// Strings numbered from 0 in one pool, with a flat hash index over them. Immutable once indexed; any thread may read
// it.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace retort {

class StringTable {
 public:
  void reserve(size_t count, size_t bytes) {
    ends_.reserve(count);
    pool_.reserve(bytes);
  }
  void add(std::string_view text) {
    pool_.append(text);
    ends_.push_back(pool_.size());
  }
  size_t size() const { return ends_.size(); }
  std::string_view view(size_t i) const {
    const size_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(pool_).substr(begin, ends_[i] - begin);
  }

  // Makes those strings findable for which include(i) holds; of equal strings the first.
  template <class Include>
  void build_index(const Include& include);

  // Its number, or -1.
  int32_t find(std::string_view text) const {
    if (slots_.empty()) return -1;
    const uint64_t hash = hash_of(text);
    for (size_t at = hash & mask_;; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.id < 0) return -1;
      if (slot.tag == static_cast<uint32_t>(hash >> 32) && view(slot.id) == text) return slot.id;
    }
  }

 private:
  struct Slot {
    uint32_t tag = 0;
    int32_t id = -1;
  };

  static uint64_t hash_of(std::string_view text) {
    constexpr uint64_t kMultiplier = 0x9E3779B97F4A7C15ULL;
    uint64_t hash = text.size() * kMultiplier;
    const auto mix = [&](uint64_t word) {
      hash = (hash ^ word) * kMultiplier;
      hash ^= hash >> 32;
    };
    const char* at = text.data();
    size_t left = text.size();
    for (; left >= 8; left -= 8, at += 8) {
      uint64_t word;
      std::memcpy(&word, at, 8);
      mix(word);
    }
    if (left > 0) {
      uint64_t word = 0;
      std::memcpy(&word, at, left);
      mix(word);
    }
    return hash * kMultiplier;
  }

  std::string pool_;
  std::vector<size_t> ends_;
  std::vector<Slot> slots_;  // a power of two, at most half full
  size_t mask_ = 0;
};

template <class Include>
void StringTable::build_index(const Include& include) {
  size_t capacity = 16;
  while (capacity < size() * 2) capacity *= 2;
  slots_.assign(capacity, {});
  mask_ = capacity - 1;
  for (size_t i = 0; i < size(); ++i) {
    if (!include(i)) continue;
    const uint64_t hash = hash_of(view(i));
    size_t at = hash & mask_;
    while (slots_[at].id >= 0 && view(slots_[at].id) != view(i)) at = (at + 1) & mask_;
    if (slots_[at].id < 0) slots_[at] = {static_cast<uint32_t>(hash >> 32), static_cast<int32_t>(i)};
  }
}

}  // namespace retort
