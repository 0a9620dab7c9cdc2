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
    const uint64_t head = head_of(text);
    for (size_t at = hash_of(text, head) & mask_;; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.id < 0) return -1;
      if (matches(slot, text, head)) return slot.id;
    }
  }

 private:
  // A string of up to 8 bytes, as most tokens are, is compared without a look at the pool.
  struct Slot {
    uint64_t head = 0;  // its first bytes, padded with zeros
    uint32_t size = 0;
    int32_t id = -1;
  };

  bool matches(const Slot& slot, std::string_view text, uint64_t head) const {
    return slot.head == head && slot.size == text.size() &&
           (text.size() <= 8 || view(static_cast<size_t>(slot.id)) == text);
  }

  static uint64_t load(const char* at, size_t size) {
    uint64_t word = 0;
    if (size >= 8) {
      std::memcpy(&word, at, 8);
    } else {
      for (size_t i = 0; i < size; ++i) word |= static_cast<uint64_t>(static_cast<uint8_t>(at[i])) << (8 * i);
    }
    return word;
  }

  static uint64_t head_of(std::string_view text) { return load(text.data(), text.size()); }

  static uint64_t hash_of(std::string_view text, uint64_t head) {
    constexpr uint64_t kMultiplier = 0x9E3779B97F4A7C15ULL;
    uint64_t hash = (head ^ text.size()) * kMultiplier;
    for (size_t at = 8; at < text.size(); at += 8)
      hash = ((hash ^ hash >> 32) + load(text.data() + at, text.size() - at)) * kMultiplier;
    return hash ^ hash >> 32;
  }

  std::string pool_;
  std::vector<size_t> ends_;
  std::vector<Slot> slots_;  // a power of two, at most two thirds full
  size_t mask_ = 0;
};

template <class Include>
void StringTable::build_index(const Include& include) {
  size_t capacity = 16;
  while (capacity < size() + size() / 2) capacity *= 2;
  slots_.assign(capacity, {});
  mask_ = capacity - 1;
  for (size_t i = 0; i < size(); ++i) {
    if (!include(i)) continue;
    const std::string_view text = view(i);
    const uint64_t head = head_of(text);
    size_t at = hash_of(text, head) & mask_;
    while (slots_[at].id >= 0 && !matches(slots_[at], text, head)) at = (at + 1) & mask_;
    if (slots_[at].id < 0) slots_[at] = {head, static_cast<uint32_t>(text.size()), static_cast<int32_t>(i)};
  }
}

}  // namespace retort
