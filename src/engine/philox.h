// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): random bits as a pure function
// of key and counter. A draw depends on what it is for, never on how many were made before it.
#pragma once

#include <array>
#include <cstdint>

namespace retort {

using PhiloxCounter = std::array<uint32_t, 4>;
using PhiloxKey = std::array<uint32_t, 2>;

constexpr PhiloxCounter philox4x32(PhiloxCounter c, PhiloxKey key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * c[0], b = uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ key[0], static_cast<uint32_t>(b),
         static_cast<uint32_t>(a >> 32) ^ c[3] ^ key[1], static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return c;
}

constexpr uint32_t low_word(uint64_t x) { return static_cast<uint32_t>(x); }
constexpr uint32_t high_word(uint64_t x) { return static_cast<uint32_t>(x >> 32); }

// 64 random bits for the pair (a, b) under a seed.
constexpr uint64_t random_bits(uint64_t seed, uint64_t a, uint64_t b) {
  const auto c = philox4x32({low_word(a), high_word(a), low_word(b), high_word(b)}, {low_word(seed), high_word(seed)});
  return uint64_t{c[1]} << 32 | c[0];
}

// In [0, 1), 53 random bits.
constexpr double random_unit(uint64_t seed, uint64_t a, uint64_t b) {
  return static_cast<double>(random_bits(seed, a, b) >> 11) * 0x1p-53;
}

}  // namespace retort
