#include "kernels/attention_kernels.h"
#include "kernels/attention_loops.h"
#include "kernels/neon/vector.h"

namespace retort::neon {

const AttentionKernels kAttention = {Vector::kMaxQueries, AttentionLoops<Vector, F32Store>::step,
                                     AttentionLoops<Vector, Bf16Store>::step};

}  // namespace retort::neon
