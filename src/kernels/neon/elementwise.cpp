#include "kernels/elementwise_loops.h"
#include "kernels/elementwise_tables.h"
#include "kernels/neon/vector.h"

namespace retort::neon {

using Loops = ElementwiseLoops<Vector>;
const ElementwiseKernels kElementwise = {Loops::rms_norm, Loops::rope_neox, Loops::rope_interleaved, Loops::silu_mul};

}  // namespace retort::neon
