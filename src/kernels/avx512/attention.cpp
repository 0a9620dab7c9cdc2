#include "kernels/attention_kernels.h"
#include "kernels/attention_loops.h"
#include "kernels/avx512/vector.h"

namespace retort::avx512 {

const AttentionKernels kAttention = {Vector::kMaxQueries, AttentionLoops<Vector, F32Store>::step,
                                     AttentionLoops<Vector, Bf16Store>::step};

}  // namespace retort::avx512
