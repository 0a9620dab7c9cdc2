#include "kernels/avx512/vector.h"
#include "kernels/elementwise_loops.h"
#include "kernels/elementwise_tables.h"

namespace retort::avx512 {

using Loops = ElementwiseLoops<Vector>;
const ElementwiseKernels kElementwise = {Loops::rms_norm, Loops::rope_neox, Loops::rope_interleaved, Loops::silu_mul};

}  // namespace retort::avx512
