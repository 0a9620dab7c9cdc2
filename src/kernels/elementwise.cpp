#include "kernels/elementwise.h"

#include "base/cpu.h"
#include "base/result.h"
#include "kernels/elementwise_tables.h"

namespace retort {

const ElementwiseKernels& elementwise_kernels(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return scalar::kElementwise;
#if defined(__x86_64__)
    case Isa::kAvx2:
    case Isa::kAvxVnni:  // multiplies whole matrices only
      return avx2::kElementwise;
    case Isa::kAvx512Vnni:
    case Isa::kAvx512Bf16:  // it and AMX multiply whole matrices only
    case Isa::kAmx:
      return avx512::kElementwise;
#elif defined(__aarch64__)
    case Isa::kNeonDotprod:
    case Isa::kNeonI8mm:  // multiplies whole matrices only
      return neon::kElementwise;
#endif
    default:
      break;
  }
  RETORT_CHECK(!"kernels for this machine's architecture");
  return scalar::kElementwise;
}

}  // namespace retort
