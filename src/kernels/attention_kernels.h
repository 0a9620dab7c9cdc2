// What Attention asks of an instruction set: one online-softmax step of some query vectors over one block of keys and
// values (layout: kv_block.h), or all that they see of a span of blocks; and to join what came of two spans.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kv_block.h"

namespace retort {

// Positions of a span: so few that a thousand tokens keep eight threads busy, so many that joining costs little beside
// them. Spans begin at multiples of this whatever the length of the sequence.
inline constexpr int64_t kSpanTokens = 256;
static_assert(kSpanTokens % kBlockTokens == 0);
inline constexpr int kMaxHeadDim = 512;  // integer sums of an int8 score stay within 32 bits

// Queries as the int8 step multiplies them: 16-bit integers, x ≈ query / scale, |x| ≤ kMaxCoded. Four at a time (of the
// dimensions 4i … 4i+3) they make two 32-bit words, `low` words after all the others; what the words hold is the
// instruction set's business.
inline constexpr float kMaxCoded = 32512;  // 127 · 256: both bytes of every number fit int8
struct CodedQueries {
  const uint32_t* words;  // [2][head_dim / 4][stride]
  const float* scales;    // [num_queries]
  const int32_t* starts;  // [num_queries]: −128 · Σ x, since stored numbers are q + 128
  int low_offset;         // head_dim / 4 · stride
};

struct AttentionStep {
  const void* keys;
  const void* values;
  const void* next;  // keys of the block that will be asked for next, to prefetch; or null
  int head_dim;      // multiple of 8
  int num_visible;   // tokens of the block these queries see, 1 … kBlockTokens; the rest is neither read into a sum nor
                     // multiplied
  int num_queries;   // 1 … max_queries; all arithmetic of a query is its own
  int query_stride;
  const float* queries;  // [head_dim][query_stride], already scaled
  CodedQueries coded;    // for the int8 step instead, of the same stride
  // Running state of each query: highest score so far (-inf at first), sum of e^(score - max), and the weighted sum of
  // values.
  float* max;  // [num_queries]
  float* sum;  // [num_queries]
  float* out;  // [num_queries][head_dim]
};

// Asks for the bytes of the next block that kVectors vectors of 32-bit lanes are read from in this one.
template <class V, int kVectors>
void prefetch_next(const AttentionStep& s, int first_byte) {
  const char* next = static_cast<const char*>(s.next) + first_byte;
  for (int byte = 0; byte < 4 * kVectors * V::kWidth; byte += 64) __builtin_prefetch(next + byte, 0, 2);
}

// What queries have seen so far, as in AttentionStep.
struct AttentionState {
  float* max;  // [num_queries]
  float* sum;  // [num_queries]
  float* out;  // [num_queries][head_dim]
};

// All that queries see of one span of bf16 keys and values; of any number of queries, each query's arithmetic its own.
struct AttentionSpan {
  const std::byte* const* blocks;       // the span's keys, the values behind them
  const std::byte* const* next_blocks;  // those of the span that will be asked for next, to prefetch
  int num_next_blocks;
  int head_dim;  // multiple of 8
  // Tokens of the span that the first queries_per_row queries see, at least 1; as many queries after them see one more,
  // and so on up to kSpanTokens. What a query does not see is neither read into a sum nor multiplied.
  int num_visible, queries_per_row;
  int num_queries;
  const float* queries;  // of the first row, not yet scaled, head_dim from one to the next
  int64_t row_stride;    // floats from row to row
  float scale;
  AttentionState state;  // written, not read
};

struct AttentionKernels {
  int max_queries;
  void (*step_f32)(const AttentionStep&);
  void (*step_bf16)(const AttentionStep&);
  void (*step_int8)(const AttentionStep&);
  // The words of one query: num_fours fours of x to words[i * stride] and words[low_offset + i * stride].
  void (*code)(const int16_t* x, int num_fours, int stride, int low_offset, uint32_t* words);
  // Adds what the same queries saw of other keys.
  void (*join)(const AttentionState& state, const AttentionState& other, int64_t num_queries, int head_dim);
  // In place of step_bf16 where an instruction set multiplies bf16; else null.
  void (*attend_to_span)(const AttentionSpan&) = nullptr;
};

namespace scalar {
extern const AttentionKernels kAttention;
}
namespace avx2 {
extern const AttentionKernels kAttention;
}
namespace avx512 {
extern const AttentionKernels kAttention;
}
namespace avx512bf16 {
void attend_to_span(const AttentionSpan& span);
}  // namespace avx512bf16
namespace neon {
extern const AttentionKernels kAttention;
}

}  // namespace retort
