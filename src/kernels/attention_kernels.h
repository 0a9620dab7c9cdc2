// What Attention asks of an instruction set: one online-softmax step of some query vectors over one block of keys and
// values.
//
// Layout of a block of 32 tokens for one KV head, keys first, then values:
//   f32   keys [head_dim][32]        values [32][head_dim]
//   bf16  keys [head_dim/2][32][2]   values [32/2][head_dim][2]
// The scores of 32 tokens come out in vector lanes, with no sum across lanes; bf16 pairs are what dot-product units
// multiply.
#pragma once

#include <cstdint>

namespace retort {

inline constexpr int kBlockTokens = 32;  // tokens in a KV block

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
  // Running state of each query: highest score so far (-inf at first), sum of e^(score - max), and the weighted sum of
  // values.
  float* max;  // [num_queries]
  float* sum;  // [num_queries]
  float* out;  // [num_queries][head_dim]
};

struct AttentionKernels {
  int max_queries;
  void (*step_f32)(const AttentionStep&);
  void (*step_bf16)(const AttentionStep&);
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
