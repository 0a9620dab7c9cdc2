#include "kernels/attention_kernels.h"
#include "kernels/attention_loops.h"
#include "kernels/avx2/vector.h"

namespace retort::avx2 {

const AttentionKernels kAttention = {Vector::kMaxQueries, AttentionLoops<Vector, F32Store>::step,
                                     AttentionLoops<Vector, Bf16Store>::step};

}  // namespace retort::avx2
