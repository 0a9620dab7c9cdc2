// Passes over one row of logits, [vocab_size], written so that compilers turn them into vector code. On x86 they are
// there for AVX-512 and AVX2 as well, and the loader takes the best that the machine has: the results are the same to
// the bit.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "text/tokenizer.h"

namespace retort {

struct RowMax {
  float value;
  TokenId id;  // the first that has it
};
// Nothing when the row holds NaN or +inf, or nothing but -inf: there is no distribution then.
std::optional<RowMax> row_max(std::span<const float> row);

// out[i] = exp((row[i] - max) / temperature), within 1e-6 of itself; below 2^-126 it is 0, and so it is for -inf.
void row_exp(std::span<const float> row, float max, float temperature, std::span<float> out);

// Sum in double, the same for the same values whatever the machine.
double row_sum(std::span<const float> row);

// Where the row is above `floor`, appended in order. Quick where that is seldom.
void row_above(std::span<const float> row, float floor, std::vector<TokenId>& ids);

// log Σ exp(row[i]), given the row's maximum. `scratch` is as long as the row.
double row_log_sum_exp(std::span<const float> row, float max, std::span<float> scratch);

}  // namespace retort
