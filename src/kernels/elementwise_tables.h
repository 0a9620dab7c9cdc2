// The table each kernels/<instruction set>/elementwise.cpp defines.
#pragma once

#include "kernels/elementwise.h"

namespace retort::scalar {
extern const ElementwiseKernels kElementwise;
}
namespace retort::avx2 {
extern const ElementwiseKernels kElementwise;
}
namespace retort::avx512 {
extern const ElementwiseKernels kElementwise;
}
namespace retort::neon {
extern const ElementwiseKernels kElementwise;
}
