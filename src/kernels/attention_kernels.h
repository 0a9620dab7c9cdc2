// What Attention asks of an instruction set: one online-softmax step of some query vectors over one block of keys and
// values (layout: kv_block.h), and to join what such steps came to over two spans of keys.
#pragma once

#include <cstdint>

namespace retort {

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

// What queries have seen so far, as in AttentionStep.
struct AttentionState {
  float* max;  // [num_queries]
  float* sum;  // [num_queries]
  float* out;  // [num_queries][head_dim]
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
namespace neon {
extern const AttentionKernels kAttention;
}

}  // namespace retort
